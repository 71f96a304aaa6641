import { defineConfig } from 'tsup';

export default defineConfig({
  entry: { causeway: 'daemon/main.ts', worker: 'daemon/worker/worker.ts', dispatcher: 'daemon/dispatcher/dispatcher.ts', loader: 'daemon/loader/loader.ts', bench: 'bench/main.ts' },
  format: 'esm',
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  clean: true,
  splitting: true,
  dts: false,
});
