/**
 * A thread that loads one config and ends. A large one is half a second of work and hundreds of megabytes of objects: here
 * that holds up nobody, and all of it goes with the thread, whereas a heap that lives on keeps most of what it once took.
 */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { readConfigText, UnreadableFile } from '../cli/config-file.js';
import { load } from './load.js';
import type { LoadAnswer, LoadOrder } from './messages.js';

if (parentPort === null) throw new Error('loader.js is a thread of causeway run, not a program');
const order = workerData as LoadOrder;
parentPort.postMessage(await answer());

async function answer(): Promise<LoadAnswer> {
  let text: string;
  try {
    text = await readConfigText(order.path);
  } catch (error) {
    if (error instanceof UnreadableFile) return { type: 'unreadable', message: error.message };
    throw error;
  }
  if (order.running !== null) giveWay();
  return load(text, order);
}

/**
 * Packets go first. On Linux a priority is the thread's own, as setpriority(2) says under "C library/kernel differences";
 * elsewhere it would be the whole process's. After the file has been read: were that the first file of all, the threads
 * that libuv reads files with would begin here, and inherit it.
 */
function giveWay(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // lower already, and may not rise
  }
}
