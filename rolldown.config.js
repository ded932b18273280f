// Bundles what runs: the program and the library's entry points, into dist/bundle (types stay with the compiler's output).
//
// Why: V8 folds the constants of one module into its code, those imported from another module it loads each time. With all of
// the device, driver and stack in one module the path of a packet through rings, driver and software takes about 25 % less time
// (Node 20, medians of `bench/run.mjs`), and the program starts without reading 400 files. Names are kept: stack traces and profiles stay readable.

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
