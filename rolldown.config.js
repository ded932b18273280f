// Bundles what runs: the program and the library's entry points, into dist/bundle (types stay with the compiler's output).
//
// Why: V8 folds the constants of one module into its code, those imported from another module it loads each time. Together with
// src/node/engine.ts a replay takes 11 to 18 % less time (Node 20, `bench/replay-once.mjs` before and after, runs interleaved, hardware and
// software path), and the program starts in half the time: one file in place of 500. Names are kept: stack traces stay readable.

import { defineConfig } from 'rolldown';

export default defineConfig({
  input: {
    cli: 'src/node/cli.ts',
    'run-replay': 'src/node/run-replay.ts', // for bench/
    engine: 'src/node/engine.ts', // for bench/
    'scenario-files': 'src/node/scenario-files.ts', // for bench/
    index: 'src/index.ts',
    hw: 'hw/index.ts',
    driver: 'driver/index.ts',
    stack: 'src/stack/index.ts',
    capture: 'src/capture/index.ts',
  },
  platform: 'node',
  optimization: { inlineConst: { mode: 'all', pass: 3 } },
  external: [/^node:/, /^[a-z@](?!:)/],
  output: {
    // As deep as dist/src/node: what looks for the package's files beside itself finds them from both.
    dir: 'dist/bundle/node',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    sourcemap: true,
    minify: { compress: true, mangle: false, codegen: false },
    comments: false,
    codeSplitting: { groups: [{ name: 'model', test: /\/(hw|driver|src)\/(?!node\/)/ }] },
  },
});
