/** What the rest of Causeway may use of config/. */
export { formatAddress, parseAddress, parsePrefix } from './address.js';
export { renderJsonSchema, renderReference } from './generate.js';
export { renderProblem } from './problems.js';
export { readConfig } from './read.js';
export { Refusal } from './refusal.js';
export { parseEndpoint, parseMac } from './scalars.js';
export type * from './types.js';
