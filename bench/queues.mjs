// `node bench/queues.mjs`: the software path of bench/software.yaml with 4, 16 and 64 receive and transmit queues per port and as many
// cores (RSS spreads over 16 at most, as in the 82599; the others are there and idle). Prints packets per second of processor time
// (so that a busy machine disturbs less) and the ratio to 4 queues. Asserts nothing. Needs built output.
//
//   node bench/queues.mjs [--packets N] [--flows N] [--runs N]

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '1000000' },
    flows: { type: 'string', default: '50000' },
    runs: { type: 'string', default: '3' },
  },
});
const here = import.meta.dirname;
const folder = mkdtempSync(join(tmpdir(), 'flowtwin-bench-'));
try {
  const file = join(folder, 'bench.pcap');
  const words = ['--packets', values.packets, '--flows', values.flows];
  execFileSync(process.execPath, [join(here, 'generate.mjs'), file, ...words], {
    stdio: 'ignore',
  });
  copyFileSync(join(here, 'software.nft'), join(folder, 'software.nft'));
  let four = 0;
  for (const queues of [4, 16, 64]) {
    const rate = measure(file, queues);
    if (four === 0) four = rate;
    const ratio = (rate / four).toFixed(2);
    console.log(`${queues} queues  ${(rate / 1e6).toFixed(3)} M packets/s, ${ratio} of 4 queues`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Median of the runs, packets per second of processor time. */
function measure(file, queues) {
  const scenario = join(folder, `queues-${queues}.yaml`);
  const text = readFileSync(join(here, 'software.yaml'), 'utf8');
  const device = `device: { flowEntries: 131072, queues: ${queues} }\nhost: { cores: ${queues} }`;
  writeFileSync(scenario, text.replace(/^device: .*$/m, device));
  const rates = [];
  for (let i = 0; i < Number(values.runs); i++) {
    const said = execFileSync(process.execPath, [join(here, 'replay-once.mjs'), file, scenario], {
      encoding: 'utf8',
    });
    const { packets, cpuSeconds } = JSON.parse(said);
    rates.push(packets / cpuSeconds);
  }
  rates.sort((a, b) => a - b);
  return rates[rates.length >> 1];
}
