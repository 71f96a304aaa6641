/** Where tests of the pipeline still look for it. */
export { seeded, type Seeded } from '../support/seeded.js';
