import ts from 'typescript';
import { defineConfig, type Options } from 'tsup';

/**
 * Give module constants their `const` back. esbuild declares all that is at the top of a module with `var`; V8 must then read
 * a constant again at every use, and check that it is still a small integer, where it could have put the number into the code.
 */
function constants(code: string): string {
  const file = ts.createSourceFile('chunk.js', code, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const assigned = new Set<string>(); // by name, whatever the scope: one too many does no harm
  const note = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) assigned.add(node.text);
    else if (!ts.isPropertyAccessExpression(node) && !ts.isElementAccessExpression(node)) node.forEachChild(note);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node) && node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment && node.operatorToken.kind <= ts.SyntaxKind.LastAssignment) note(node.left);
    else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) note(node.operand);
    else if ((ts.isForInStatement(node) || ts.isForOfStatement(node)) && !ts.isVariableDeclarationList(node.initializer)) note(node.initializer);
    node.forEachChild(visit);
  };
  visit(file);
  const starts = file.statements.flatMap(statement => {
    if (!ts.isVariableStatement(statement) || (statement.declarationList.flags & ts.NodeFlags.BlockScoped) !== 0) return [];
    const isConstant = statement.declarationList.declarations.every(({ name, initializer }) => ts.isIdentifier(name) && initializer !== undefined && !assigned.has(name.text));
    return isConstant ? [statement.getStart()] : [];
  });
  let out = '', from = 0;
  for (const at of starts) {
    out += `${code.slice(from, at)}const`;
    from = at + 'var'.length;
  }
  return out + code.slice(from);
}

const common: Options = { format: 'esm', target: 'node20', platform: 'node', sourcemap: true, dts: false, plugins: [{ name: 'constants', renderChunk: (code: string) => ({ code: constants(code) }) }] };
/** What carries packets: one file each, for what lies in another chunk is no constant to V8 either. */
const threads = { worker: 'daemon/worker/worker.ts', dispatcher: 'daemon/dispatcher/dispatcher.ts', bench: 'bench/main.ts' };

export default defineConfig([
  // In chunks, so that a verb loads only what it needs. Cleans up, but not after the other.
  { ...common, entry: { causeway: 'daemon/main.ts', loader: 'daemon/loader/loader.ts' }, splitting: true, clean: Object.keys(threads).map(name => `!${name}.js*`) },
  { ...common, entry: threads, splitting: false },
]);
