/** What may happen a thousand times a second is told once, and then once a minute with a count. */
const QUIET_MS = 60_000;

interface Told { at: number; since: number; fields: Record<string, unknown> }

export class Repeats {
  readonly #told = new Map<string, Told>();
  readonly #tell: (message: string, fields: Record<string, unknown>) => void;

  /** `tell` gets the message, and the fields of the latest occurrence with their `count`. */
  constructor(tell: (message: string, fields: Record<string, unknown>) => void) {
    this.#tell = tell;
  }

  /** It happened. `message` and `key` are one of few: every pair is remembered. */
  note(message: string, key: string, now: number, fields: Record<string, unknown>): void {
    const id = `${message}\0${key}`;
    const told = this.#told.get(id);
    if (told === undefined || (now - told.at >= QUIET_MS && told.since === 0)) {
      this.#told.set(id, { at: now, since: 0, fields });
      this.#tell(message, { ...fields, count: 1 });
      return;
    }
    told.since++;
    told.fields = fields;
  }

  /** Tell what has happened again since it was told last. Call it now and then. */
  flush(now: number): void {
    for (const [id, told] of this.#told) {
      if (told.since === 0 || now - told.at < QUIET_MS) continue;
      this.#tell(id.slice(0, id.indexOf('\0')), { ...told.fields, count: told.since });
      told.at = now;
      told.since = 0;
    }
  }
}
