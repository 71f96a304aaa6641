#!/usr/bin/env node
/** The program: standard streams, and the only exit there is. */
import type { Io } from './cli/cli.js';
import { dispatch } from './dispatch.js';

const io: Io = {
  out: text => { process.stdout.write(text); },
  err: text => { process.stderr.write(text); },
};

// A reader that went away (`causeway show sessions | head`) is no fault of ours; what is left to do gets done.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

const code = await dispatch(process.argv.slice(2), io);
// Pipes may still be holding output (they are not written synchronously everywhere), and a verb may leave timers behind.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
