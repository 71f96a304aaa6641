/** `--at`: from what people write to the milliseconds that they mean. */
import { Refusal } from '../../config/index.js';

/** From the first ms to the last. */
export interface Moment { readonly from: number; readonly to: number }

const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?$/i;
const UNIX = /^(\d{1,16})(?:[.,](\d{1,9}))?$/;
/** What comes after is in milliseconds or finer: as seconds it would be the year 5138. */
const UNIX_END = 1e11;
const EXAMPLE = '2026-11-23T00:41:07Z';

/** An ISO 8601 time with its zone, or unix seconds. One without seconds means the whole minute, one without fractions the whole second. */
export function parseMoment(text: string): Moment | Refusal<Moment> {
  const unix = UNIX.exec(text);
  if (unix !== null) return fromUnix(Number(unix[1]), unix[2]);
  const parts = ISO.exec(text);
  if (parts === null) {
    const isDay = /^\d{4}-\d\d-\d\d$/.test(text);
    return new Refusal(isDay ? 'a day, in which a port may have many owners' : 'not a time', `write ${EXAMPLE}, or unix seconds`);
  }
  const [, year, month, day, hour, minute, second, fraction, zone] = parts;
  if (zone === undefined) return new Refusal('a time without a zone', `say which: ${text}Z for UTC, ${text}+01:00 for one hour ahead of it`);
  const [hours, minutes] = zone.length === 1 ? [0, 0] : [Number(zone.slice(1, 3)), Number(zone.slice(-2))];
  const offset = (hours * 60 + minutes) * (zone.startsWith('-') ? -1 : 1);
  const local = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second ?? 0));
  // What rolls over, the 31st of February, comes out as another day; a leap second has no place in unix time.
  const isReal = new Date(local).toISOString().startsWith(`${year}-${month}-${day}T${hour}:${minute}:${second ?? '00'}`) && hours < 24 && minutes < 60;
  if (!isReal) return new Refusal('no time of any day', `write ${EXAMPLE}, or unix seconds`);
  const at = local - offset * 60_000;
  return second === undefined ? { from: at, to: at + 59_999 } : within(at, fraction);
}

function fromUnix(seconds: number, fraction: string | undefined): Moment | Refusal<Moment> {
  if (seconds >= UNIX_END) return new Refusal('too large for unix seconds', `from milliseconds it would be ${seconds / 1000}`);
  return within(seconds * 1000, fraction);
}

/** As exact as it was written, but not finer than the log. */
function within(second: number, fraction = ''): Moment {
  const digits = fraction.slice(0, 3);
  const from = second + Number(digits.padEnd(3, '0'));
  return { from, to: from + 10 ** (3 - digits.length) - 1 };
}
