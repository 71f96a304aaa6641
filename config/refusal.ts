/** Why a text is not what it should be. `meant` is what it surely stands for, so that later checks need not stop. */
export class Refusal<T> {
  readonly message: string;
  readonly advice: string;
  readonly meant: T | undefined;

  constructor(message: string, advice: string, meant?: T) {
    this.message = message;
    this.advice = advice;
    this.meant = meant;
  }
}
