/** A verb of the command line, called as main.ts would, with what it printed. */
import { Exit, UsageError, type Verb } from '../../daemon/cli/cli.js';
import { UnreadableFile } from '../../daemon/cli/config-file.js';

export interface Called { readonly code: number; readonly out: string; readonly err: string }

export async function callVerb(verb: Verb, ...args: string[]): Promise<Called> {
  let out = '', err = '';
  const io = { out: (text: string) => { out += text; }, err: (text: string) => { err += text; } };
  try {
    const code = await verb.main(args, io);
    return { code, out, err };
  } catch (error) {
    if (error instanceof UsageError) return { code: Exit.usage, out, err: error.message };
    if (error instanceof UnreadableFile) return { code: Exit.failure, out, err: error.message };
    throw error;
  }
}
