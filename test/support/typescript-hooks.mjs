/** Module hooks: `./x.js` is `./x.ts` where that is there, and TypeScript is translated, once for each content. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/causeway-test/', import.meta.url));
/** Part of every key: changes with what is done to a file. */
const RECIPE = 'typescript 5, es2022, 1';

export async function resolve(specifier, context, next) {
  if (specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.endsWith('.ts')) {
    const url = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (existsSync(url)) return { url: url.href, format: 'module', shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const path = fileURLToPath(url);
  const text = readFileSync(path, 'utf8');
  const kept = `${CACHE}${createHash('sha256').update(`${RECIPE}\0${path}\0${text}`).digest('hex')}.js`;
  if (!existsSync(kept)) await translate(path, text, kept);
  return { format: 'module', source: readFileSync(kept, 'utf8'), shortCircuit: true };
}

async function translate(path, text, kept) {
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true, inlineSourceMap: true, inlineSources: true },
  });
  mkdirSync(CACHE, { recursive: true });
  const half = `${kept}.${process.pid}`; // others may be writing the same: whoever renames last is as right as the first
  writeFileSync(half, outputText);
  renameSync(half, kept);
}
