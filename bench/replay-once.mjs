// One replay on built output, timed in this process: prints one line of JSON. Used by run.mjs.
//
//   node bench/replay-once.mjs CAPTURE SCENARIO

import { tuneEngine } from '../dist/bundle/node/engine.js';
import { loadScenarioFile } from '../dist/bundle/node/scenario-files.js';
import { runReplay } from '../dist/bundle/node/run-replay.js';

tuneEngine();
const [capture, scenario] = process.argv.slice(2);
const loaded = loadScenarioFile(scenario);
loaded.sources = [{ file: capture, port: -1 }];
const cpuStart = process.cpuUsage();
const start = process.hrtime.bigint();
const { report } = await runReplay(loaded, {
  pace: { kind: 'speed', factor: 1 },
  loop: 1,
  limit: Infinity,
  format: 'pcapng',
});
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const { hardware, fastPath, classicPath, local, dropped } = report.fates;
console.log(
  JSON.stringify({
    packets: report.in.packets,
    seconds,
    cpuSeconds: process.cpuUsage(cpuStart).user / 1e6,
    maxRssBytes: process.resourceUsage().maxRSS * 1024,
    fates: {
      hardware: hardware.packets,
      'fast path': fastPath.packets,
      'classic path': classicPath.packets,
      local: local.packets,
      dropped: dropped.packets,
    },
    digest: report.digest,
  }),
);
