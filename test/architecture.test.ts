/** What the folders may know of each other, read from their import lines. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What each folder may import besides itself: other folders of ours, packages, and built-in modules or not. */
const MAY: Readonly<Record<string, { folders: readonly string[]; packages: readonly string[]; builtins: boolean }>> = {
  codecs: { folders: [], packages: [], builtins: false },
  config: { folders: [], packages: ['ipaddr.js'], builtins: false },
  pipeline: { folders: ['codecs'], packages: [], builtins: false },
  daemon: { folders: ['pipeline', 'codecs', 'config'], packages: ['pino', 'prom-client'], builtins: true },
};
const RUN_TIME = ['ipaddr.js', 'pino', 'prom-client'];
const DEVELOPMENT = ['@types/node', 'tap', 'tsup', 'typescript'];
const MOST_LINES = 450;

interface Source { readonly folder: string; readonly path: string; readonly text: string }

function sources(...folders: readonly string[]): Source[] {
  return folders.flatMap(folder => (readdirSync(join(ROOT, folder), { recursive: true }) as string[])
    .filter(name => name.endsWith('.ts'))
    .sort()
    .map(name => ({ folder, path: join(folder, name), text: readFileSync(join(ROOT, folder, name), 'utf8') })));
}

/** Every module that a file names: in import and export lines, of types too, and in calls of `import()`. */
function imports(text: string): string[] {
  return ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName);
}

t.test('daemon may import pipeline, codecs and config, pipeline may import codecs, and there are no other arrows', async t => {
  const found = new Set<string>();
  for (const { folder, path, text } of sources(...Object.keys(MAY))) {
    for (const name of imports(text).filter(name => name.startsWith('.'))) {
      const target = relative(ROOT, resolve(ROOT, dirname(path), name)).split(/[\\/]/)[0];
      if (target === 'package.json') continue; // where the version is
      if (target !== folder) found.add(`${folder} ${target}`);
      if (target !== folder && !MAY[folder].folders.includes(target)) t.fail(`${path} imports ${name}`);
      if (!/\.(js|json)$/.test(name)) t.fail(`${path} imports ${name} without its ending`);
    }
  }
  t.same([...found].sort(), ['daemon codecs', 'daemon config', 'daemon pipeline', 'pipeline codecs'], 'all of which are in use');
});

t.test('packages stay at the rim: ipaddr.js in config, pino and prom-client in daemon; built-in modules in daemon alone', async t => {
  const used = new Set<string>();
  for (const { folder, path, text } of sources(...Object.keys(MAY))) {
    for (const name of imports(text).filter(name => !name.startsWith('.'))) {
      used.add(name);
      const allowed = name.startsWith('node:') ? MAY[folder].builtins : MAY[folder].packages.includes(name);
      if (!allowed) t.fail(`${path} imports ${name}`);
    }
  }
  t.same([...used].filter(name => !name.startsWith('node:')).sort(), RUN_TIME);
});

t.test('package.json asks for those packages and no others', async t => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
  t.same(Object.keys(dependencies).sort(), RUN_TIME);
  t.same(Object.keys(devDependencies).sort(), DEVELOPMENT);
});

t.test('only daemon/main.ts ends the process', async t => {
  const enders = sources(...Object.keys(MAY), 'bench').filter(({ text }) => /process\.exit\(/.test(text));
  t.same(enders.map(({ path }) => path), [join('daemon', 'main.ts')]);
});

t.test('time and randomness are passed in: codecs, config and pipeline ask no clock and throw no dice', async t => {
  for (const { path, text } of sources('codecs', 'config', 'pipeline')) {
    for (const [, call] of text.matchAll(/\b(Date\.now|new Date|performance\.now|Math\.random|setTimeout|setInterval)\b/g)) t.fail(`${path} calls ${call}`);
  }
});

t.test('no file is too long to be one idea', async t => {
  for (const { path, text } of sources(...Object.keys(MAY), 'bench', 'test')) {
    const lines = text.split('\n').length - 1;
    if (lines > MOST_LINES) t.fail(`${path} has ${lines} lines`);
  }
});

/** What a class extends; Error where nothing, which is as good. */
function baseOf(node: ts.ClassLikeDeclaration, file: ts.SourceFile): string {
  const clause = node.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword);
  return clause?.types[0]?.expression.getText(file) ?? 'Error';
}

t.test('no any, no enum, no decorator, no class that extends another but Error; nothing left over', async t => {
  const leftOver = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
  for (const { path, text } of sources(...Object.keys(MAY), 'bench', 'test')) {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022);
    const look = (node: ts.Node): void => {
      const what = node.kind === ts.SyntaxKind.AnyKeyword ? 'any' : ts.isEnumDeclaration(node) ? 'an enum' : ts.isDecorator(node) ? 'a decorator'
        : ts.isClassLike(node) && baseOf(node, file) !== 'Error' ? 'a base class' : undefined;
      if (what !== undefined) t.fail(`${path}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1} has ${what}`);
      ts.forEachChild(node, look);
    };
    look(file);
    text.split('\n').forEach((line, i) => {
      if (leftOver.test(line)) t.fail(`${path}:${i + 1} has a marker: ${line.trim()}`);
    });
  }
});
