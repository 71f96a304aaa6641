/**
 * Lets node run the tree's TypeScript: `node --import=./test/support/typescript.mjs FILE.ts`. Every test file is a process
 * of its own and imports most of the tree, so what was translated once is kept, by content, for all of them.
 * Types are not checked here: `npm test` has done that before.
 */
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);
