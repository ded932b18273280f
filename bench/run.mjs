// `npm run bench`: generates a capture of 2 M packets in 50 k flows and replays it three ways, on built output.
//
//   hardware   the default router with a device that has room for all flows
//   software   the same router, flows in the software flowtable (no `flags offload`): every packet takes rings and driver
//   classic    the same without a flowtable: every packet takes the classic path
//
// Prints packets per second of host time (median of the runs), resident memory, and the ratio to a yardstick of the same
// machine in the same minute: `tcpdump -r FILE -w /dev/null` (skipped when there is no tcpdump). Asserts nothing.
//
//   node bench/run.mjs [--packets N] [--flows N] [--runs N] [--only hardware]

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '2000000' },
    flows: { type: 'string', default: '50000' },
    runs: { type: 'string', default: '3' },
    only: { type: 'string' },
    file: { type: 'string' },
  },
});
const here = import.meta.dirname;
const packets = Number(values.packets);
const folder = mkdtempSync(join(tmpdir(), 'flowtwin-bench-'));
const file = values.file ?? join(folder, 'bench.pcap');
try {
  if (!existsSync(file)) {
    const words = ['--packets', values.packets, '--flows', values.flows];
    execFileSync(process.execPath, [join(here, 'generate.mjs'), file, ...words], {
      stdio: 'inherit',
    });
  }
  console.log(`${(statSync(file).size / 1e6).toFixed(0)} MB, node ${process.version}`);
  yardstick();
  for (const name of ['hardware', 'software', 'classic'])
    if (values.only === undefined || values.only === name) measure(name);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function yardstick() {
  const start = process.hrtime.bigint();
  const result = spawnSync('tcpdump', ['-r', file, '-w', '/dev/null'], { stdio: 'ignore' });
  if (result.error !== undefined) return console.log('yardstick   no tcpdump here');
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(`yardstick   tcpdump -r FILE -w /dev/null: ${mpps(packets / seconds)} M packets/s`);
}

/** Each run in a process of its own: no run warms up the next. */
function measure(name) {
  const rates = [];
  let last = null;
  for (let i = 0; i < Number(values.runs); i++) {
    const words = [join(here, 'replay-once.mjs'), file, join(here, `${name}.yaml`)];
    last = JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
    rates.push(last.packets / last.seconds);
  }
  rates.sort((a, b) => a - b);
  const median = rates[rates.length >> 1];
  const fates = Object.entries(last.fates).filter(([, count]) => count > 0);
  console.log(
    `${name.padEnd(11)} ${mpps(median)} M packets/s (median of ${rates.length}, ` +
      `${mpps(rates[0])} to ${mpps(rates[rates.length - 1])}), ` +
      `${(last.maxRssBytes / 1e6).toFixed(0)} MB resident; ` +
      fates
        .map(([fate, count]) => `${fate} ${((100 * count) / last.packets).toFixed(1)} %`)
        .join(', ') +
      `; digest ${last.digest}`,
  );
}

function mpps(rate) {
  return (rate / 1e6).toFixed(2);
}
