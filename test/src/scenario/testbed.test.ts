// The machine as a library: determinism, conservation under random frames and commands, the same digest in a worker thread.

import fc from 'fast-check';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { PS_PER_S, PS_PER_US } from '../../../hw/time/units.ts';
import type { runReplay } from '../../../src/node/run-replay.ts';
import type { loadScenarioFile } from '../../../src/node/scenario-files.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

interface ScenarioFiles {
  loadScenarioFile: typeof loadScenarioFile;
}
interface RunReplay {
  runReplay: typeof runReplay;
}

const RULES =
  'table inet t {\n flowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; counter; }\n' +
  ' chain f { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @ft; }\n}\n';

function router(): Testbed {
  const testbed = new Testbed({ ports: [{ name: 'p0' }, { name: 'p1' }] });
  const commands = [
    'sysctl -w net.ipv4.ip_forward=1',
    'ip addr add 10.0.0.254/24 dev p0',
    'ip addr add 10.0.1.254/24 dev p1',
    'ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev p0 nud permanent',
    'ip neigh replace 10.0.1.1 lladdr 02:00:00:00:00:02 dev p1 nud permanent',
  ];
  for (const command of commands)
    expect(testbed.runWords(command.split(' '))).toMatchObject({ status: 0 });
  expect(testbed.runWords(['nft', '-f', '-'], RULES)).toMatchObject({ status: 0, stderr: '' });
  testbed.advanceTo(PS_PER_S);
  return testbed;
}

/** A UDP or TCP frame between the two stations, with a right IPv4 checksum. */
function frame(
  testbed: Testbed,
  spec: { reply: boolean; tcp: boolean; flags: number; ttl: number },
) {
  const bytes = new Uint8Array(60);
  bytes.set(testbed.devices[spec.reply ? 1 : 0].mac, 0);
  bytes.set([2, 0, 0, 0, 0, spec.reply ? 2 : 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0], 6);
  bytes[22] = spec.ttl;
  bytes[23] = spec.tcp ? 6 : 17;
  bytes.set(spec.reply ? [10, 0, 1, 1, 10, 0, 0, 1] : [10, 0, 0, 1, 10, 0, 1, 1], 26);
  bytes.set(spec.reply ? [0, 80, 0x9c, 0x40] : [0x9c, 0x40, 0, 80], 34);
  if (spec.tcp) bytes.set([0x50, spec.flags], 46);
  else bytes.set([0, 26, 0, 0], 38);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += bytes[i] * 256 + bytes[i + 1];
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[24] = (~sum >> 8) & 0xff;
  bytes[25] = ~sum & 0xff;
  return bytes;
}

describe('Testbed', () => {
  it('moves a UDP flow into hardware and keeps it there', () => {
    const testbed = router();
    for (let i = 0; i < 10; i++) {
      const reply = i % 2 === 1;
      const one = frame(testbed, { reply, tcp: false, flags: 0, ttl: 64 });
      testbed.inject(reply ? 1 : 0, testbed.nowPs + 500 * PS_PER_US, one);
    }
    testbed.settle(testbed.nowPs + PS_PER_S);
    const [hardware, fast, classic] = testbed.ledger.fatePackets;
    // The first is not confirmed yet, the second (the reply) makes the flow: the third is in hardware.
    expect(hardware).toBe(8);
    expect(fast + classic).toBe(2);
    const { stdout } = testbed.runWords(['conntrack', '-L']);
    expect(stdout).toContain('[HW_OFFLOAD]');
    testbed.checkInvariants();
  });

  it('keeps its invariants under random packets and commands, every packet one fate', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('frame' as const),
        reply: fc.boolean(),
        tcp: fc.boolean(),
        flags: fc.constantFrom(2, 18, 16, 17, 4),
        ttl: fc.constantFrom(64, 2, 1),
        gapUs: fc.constantFrom(0, 1, 100, 1_100_000),
      }),
      fc.record({
        kind: fc.constant('bytes' as const),
        bytes: fc.uint8Array({ minLength: 0, maxLength: 100 }),
      }),
      fc.record({
        kind: fc.constant('command' as const),
        words: fc.constantFrom(
          ['conntrack', '-F'],
          ['conntrack', '-D', '-p', 'udp'],
          ['ip', 'link', 'set', 'p1', 'down'],
          ['ip', 'link', 'set', 'p1', 'up'],
          ['ip', 'route', 'add', '10.9.0.0/16', 'dev', 'p0'],
          ['ip', 'link', 'set', 'p0', 'mtu', '1400'],
          ['ethtool', '-G', 'p0', 'rx', '64'],
          ['nft', 'delete', 'table', 'inet', 't'],
        ),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const testbed = router();
        for (const one of steps) {
          if (one.kind === 'command') testbed.runWords(one.words);
          else if (one.kind === 'bytes') testbed.inject(0, testbed.nowPs + PS_PER_US, one.bytes);
          else
            testbed.inject(
              one.reply ? 1 : 0,
              testbed.nowPs + one.gapUs * PS_PER_US,
              frame(testbed, one),
            );
          testbed.checkInvariants();
        }
        expect(testbed.settle(testbed.nowPs + 100 * PS_PER_S)).toBe(true);
        testbed.advance(40 * PS_PER_S);
        testbed.checkInvariants();
        // Nothing is left in hardware once the flows have aged.
        testbed.runWords(['nft', 'delete', 'table', 'inet', 't']);
        testbed.advance(5 * PS_PER_S);
        expect(testbed.nic.pipeline.flows.count).toBe(0);
      }),
      { numRuns: 60, seed: 20261121 },
    );
  });

  it('gives the same digest in a worker thread', async () => {
    const file = new URL('../../../fixtures/pcap/tcp-many.pcap', import.meta.url).pathname;
    const modules = new URL('../../../dist/src/node/', import.meta.url).href;
    const source = `
      const { parentPort } = require('node:worker_threads');
      (async () => {
        const { loadScenarioFile } = await import('${modules}scenario-files.js');
        const { runReplay } = await import('${modules}run-replay.js');
        const { report } = await runReplay(loadScenarioFile(${JSON.stringify(file)}),
          { pace: { kind: 'speed', factor: 1 }, loop: 1, limit: Infinity, format: 'pcapng' });
        parentPort.postMessage(report.digest);
      })();`;
    const inWorker = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const worker = new Worker(source, { eval: true });
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    const files = (await import(`${modules}scenario-files.js`)) as ScenarioFiles;
    const replay = (await import(`${modules}run-replay.js`)) as RunReplay;
    const { report } = await replay.runReplay(files.loadScenarioFile(file), {
      pace: { kind: 'speed', factor: 1 },
      loop: 1,
      limit: Infinity,
      format: 'pcapng',
    });
    const digests = await Promise.all([inWorker(), inWorker()]);
    expect(digests).toEqual([report.digest, report.digest]);
  });
});
