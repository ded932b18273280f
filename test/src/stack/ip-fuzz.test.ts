// Mangled frames: whatever arrives, nothing throws, every packet ends exactly once (left a port, dropped with a reason, or
// delivered), and no buffer stays behind.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NF_ACCEPT, NF_INET_PRE_ROUTING, NF_STOLEN } from '../../../src/stack/netfilter/hooks.ts';
import { StackRig, bytesOf, hex } from '../../support/stack-rig.ts';

interface Input {
  port: string;
  frame: string;
}

function inputs(name: string): Input[] {
  const url = new URL(`../../../fixtures/recordings/flowtable/${name}`, import.meta.url);
  const { steps } = JSON.parse(readFileSync(url, 'utf8')) as { steps: { in?: Input }[] };
  return steps.flatMap((step) => (step.in ? [step.in] : []));
}

const FRAMES = [...inputs('classic-plain.json'), ...inputs('classic-v6.json')];

function router(defrag: boolean): StackRig {
  const rig = new StackRig();
  rig.addPort('c', 'rc', '02:00:00:00:01:01');
  rig.addPort('s', 'rs', '02:00:00:00:02:01', 1400);
  for (const command of [
    'sysctl -w net.ipv4.ip_forward=1',
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    'ip addr add 192.168.1.1/24 dev rc',
    'ip addr add 10.0.0.1/24 dev rs',
    'ip -6 addr add fd00:1::1/64 dev rc nodad',
    'ip -6 addr add fd00:2::1/64 dev rs nodad',
    'ip neigh replace 192.168.1.2 lladdr 02:00:00:00:01:02 dev rc nud permanent',
    'ip neigh replace fd00:1::2 lladdr 02:00:00:00:01:02 dev rc nud permanent',
  ])
    rig.must(command);
  const { stack } = rig;
  for (const family of defrag ? [2, 10] : [])
    stack.hooks.register(family, NF_INET_PRE_ROUTING, {
      name: 'defrag',
      priority: -400,
      run: (skb) =>
        (family === 2 ? stack.defrag.ipv4(skb) : stack.defrag.ipv6(skb)) === null
          ? NF_STOLEN
          : NF_ACCEPT,
    });
  return rig;
}

/** Makes the IPv4 header checksum right again, so that mangled packets get past it. */
function mend(bytes: Uint8Array): void {
  if (bytes[12] !== 8 || bytes[13] !== 0 || bytes.length < 34) return;
  const end = Math.min(14 + (bytes[14] & 15) * 4, bytes.length);
  bytes[24] = bytes[25] = 0;
  let sum = 0;
  for (let i = 14; i + 1 < end; i += 2) sum += bytes[i] * 256 + bytes[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  bytes[24] = (~sum >> 8) & 255;
  bytes[25] = ~sum & 255;
}

describe('mangled frames', () => {
  const change = fc.record({
    at: fc.integer({ min: 0, max: 60 }),
    to: fc.constantFrom(0, 1, 2, 4, 6, 17, 44, 58, 59, 60, 64, 127, 128, 192, 224, 255),
  });
  const mangled = fc.record({
    pick: fc.nat(FRAMES.length - 1),
    changes: fc.array(change, { maxLength: 4 }),
    cut: fc.option(fc.integer({ min: 0, max: 80 }), { freq: 4 }),
  });
  it.each([false, true])('end exactly once each (reassembly at prerouting: %s)', (defrag) => {
    fc.assert(
      fc.property(fc.array(mangled, { minLength: 1, maxLength: 30 }), (list) => {
        const rig = router(defrag);
        const ids = list.map(({ pick, changes, cut }) => {
          let bytes = bytesOf(FRAMES[pick].frame);
          for (const { at, to } of changes) if (at < bytes.length) bytes[at] = to;
          if (cut !== null) bytes = bytes.slice(0, cut);
          mend(bytes);
          return rig.receive(FRAMES[pick].port, hex(bytes));
        });
        rig.runTo(200);
        const ended = new Map<number, number>();
        const end = (id: number): unknown => ended.set(id, (ended.get(id) ?? 0) + 1);
        for (const id of rig.sentIds) if (id >= 0) end(id);
        for (const fate of rig.fates)
          if (!fate.startsWith('forward')) end(Number(fate.split(' ')[1]));
        expect(ids.map((id) => [id, ended.get(id)])).toEqual(ids.map((id) => [id, 1]));
        expect(rig.liveCount).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
