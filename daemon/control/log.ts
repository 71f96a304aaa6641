/**
 * Logs: one JSON object a line on standard output, decisions and not packets. A line is a fixed message with fields
 * beside it, so that lines can be counted; nothing a tenant sends gets in, and of addresses only those of the config.
 */
import { pino, type Logger } from 'pino';
import type { LogLevel } from '../../config/index.js';

export type { Logger } from 'pino';

export function makeLog(level: LogLevel): Logger {
  // Written before the call returns, so that a daemon's last words are not lost.
  const out = pino.destination({ fd: 1, sync: true });
  out.on('error', () => {}); // whoever read the log went away; the gateway has other readers
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label => ({ level: label }) } }, out);
}
