/**
 * The highest rate at which no more than a given share of packets is lost, by trials of fixed length (RFC 2544 §26.1):
 * an interval around the first guess, widened until it holds the rate, then halved until it is narrow. A trial that
 * lost too much is run once more, and the better of the two counts, since other programs' bursts lose packets too. Rates
 * are those that were really offered. The trials of one share serve for the next, as in MLRsearch.
 */

export interface Trial {
  /** Packets per second offered. */
  readonly pps: number;
  /** Share of the packets that did not come out, 0 to 1. */
  readonly loss: number;
}

/** RFC 2544 §24 asks for none; 0.5 % is what PDR is mostly given for. */
export const NO_LOSS = 0;
export const SOME_LOSS = 0.005;

/** The first step while one end of the interval is not known; each one after it is the square of the last. */
const STEP = 1.25;
const MOST_TRIALS = 24;
const LEAST_PPS = 1000;
/** Offered less than this part of what was asked for: the generator can no more. */
const FULL_SPEED = 0.9;

/** Trials so far of one subject, and more of them as they are asked for. */
export class Search {
  readonly trials: Trial[] = [];
  readonly #run: (pps: number) => Promise<Trial>;
  readonly #precision: number;

  /** `precision`: width of the last interval, as a part of its upper end. */
  constructor(run: (pps: number) => Promise<Trial>, precision: number) {
    this.#run = run;
    this.#precision = precision;
  }

  /** The highest rate tried with at most `loss`, close below the lowest one tried with more; `guess` is where to begin. 0 when there is none. */
  async highest(loss: number, guess: number): Promise<number> {
    let step = STEP;
    for (let i = 0; i < MOST_TRIALS; i++) {
      const bad = Math.min(Infinity, ...this.trials.filter(trial => trial.loss > loss).map(({ pps }) => pps));
      // A rate that once went well does not count above one that did not.
      const good = Math.max(0, ...this.trials.filter(trial => trial.loss <= loss && trial.pps < bad).map(({ pps }) => pps));
      if (good > 0 && bad < Infinity && bad - good <= bad * this.#precision) return good;
      const next = good === 0 && bad === Infinity ? guess : good === 0 ? bad / step : bad === Infinity ? good * step : (good + bad) / 2;
      if (i > 0 && (good === 0 || bad === Infinity)) step *= step;
      if (next < LEAST_PPS) break;
      const trial = await this.#try(next, loss);
      if (trial.loss <= loss && trial.pps < next * FULL_SPEED) return trial.pps;
    }
    return 0;
  }

  async #try(pps: number, loss: number): Promise<Trial> {
    const first = await this.#run(pps);
    const second = first.loss > loss ? await this.#run(pps) : first;
    const better = second.loss < first.loss ? second : first;
    this.trials.push(better);
    return better;
  }
}
