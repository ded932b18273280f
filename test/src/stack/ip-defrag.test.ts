// Reassembly against the packet that was cut: fragments in any order, with duplicates, must give it back in the sizes it came in;
// overlaps and missing pieces must end every packet id exactly once.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NF_ACCEPT, NF_INET_PRE_ROUTING, NF_STOLEN } from '../../../src/stack/netfilter/hooks.ts';
import { naiveChecksum } from '../../reference/naive-ip.ts';
import { StackRig, bytesOf, hex } from '../../support/stack-rig.ts';

function router(): StackRig {
  const rig = new StackRig();
  rig.addPort('c', 'rc', '020000000101');
  rig.addPort('s', 'rs', '020000000201');
  rig.must('sysctl -w net.ipv4.ip_forward=1');
  rig.must('ip addr add 192.168.1.1/24 dev rc');
  rig.must('ip addr add 10.0.0.1/24 dev rs');
  rig.must('ip neigh replace 10.0.0.2 lladdr 02:00:00:00:02:02 dev rs nud permanent');
  rig.stack.hooks.register(2, NF_INET_PRE_ROUTING, {
    name: 'defrag',
    priority: -400,
    run: (skb) => (rig.stack.defrag.ipv4(skb) === null ? NF_STOLEN : NF_ACCEPT),
  });
  return rig;
}

function fragment(offset: number, payload: Uint8Array, more: boolean, ttl: number): string {
  const header = new Uint8Array(20);
  const length = 20 + payload.length;
  const field = (more ? 0x2000 : 0) | (offset >> 3);
  header.set([0x45, 0, length >> 8, length & 255, 0x12, 0x34, field >> 8, field & 255, ttl, 17]);
  header.set([192, 168, 1, 2, 10, 0, 0, 2], 12);
  const sum = naiveChecksum(header);
  header[10] = sum >> 8;
  header[11] = sum & 255;
  return `0200000001010200000001020800${hex(header)}${hex(payload)}`;
}

describe('reassembly', () => {
  it('gives back what was cut, in any order and with duplicates', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 7 });
    fc.assert(
      fc.property(
        cuts,
        fc.infiniteStream(fc.nat()),
        fc.integer({ min: 1, max: 15 }),
        (sizes, rand, tail) => {
          const rig = router();
          const pieces: { at: number; bytes: Uint8Array; more: boolean }[] = [];
          let at = 0;
          sizes.forEach((eights, i) => {
            const last = i === sizes.length - 1;
            const bytes = new Uint8Array(last ? tail : eights * 8).map((_, k) => (at + k) & 255);
            pieces.push({ at, bytes, more: !last });
            at += bytes.length;
          });
          const order = pieces
            .map((piece) => ({ piece, key: rand.next().value as number }))
            .sort((a, b) => a.key - b.key)
            .map((o) => o.piece);
          const doubled = [order[0], ...order];
          for (const p of doubled) rig.receive('c', fragment(p.at, p.bytes, p.more, 64));
          const out = rig.take().map((f) => f.frame);
          expect(out.map((f) => f.slice(28))).toEqual(
            pieces.map((p) => fragment(p.at, p.bytes, p.more, 63).slice(28)),
          );
          const ended = rig.fates.map((f) => Number(f.split(' ')[1]));
          expect(rig.fates.filter((f) => f === 'drop 2 frag-invalid')).toHaveLength(1);
          expect(new Set(ended).size).toBe(ended.length);
          expect(rig.stack.defrag.waitingBytes).toBe(0);
          expect(rig.liveCount).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('an overlap ends all of it', () => {
    const rig = router();
    rig.receive('c', fragment(0, new Uint8Array(16), true, 64));
    rig.receive('c', fragment(8, new Uint8Array(24), true, 64));
    rig.receive('c', fragment(32, new Uint8Array(8), false, 64));
    expect(rig.fates).toEqual(['drop 1 frag-invalid', 'drop 2 frag-invalid']);
    rig.runTo(31);
    expect(rig.fates[2]).toBe('drop 3 frag-reasm-timeout');
    expect(rig.take()).toEqual([]);
    expect(rig.liveCount).toBe(0);
  });

  it('waits 30 s', () => {
    const rig = router();
    rig.receive('c', fragment(0, new Uint8Array(16), true, 64));
    rig.runTo(29.9);
    expect(rig.fates).toEqual([]);
    rig.runTo(30.1);
    expect(rig.fates).toEqual(['drop 1 frag-reasm-timeout']);
  });

  it('refuses new packets beyond the memory limit', () => {
    const rig = router();
    rig.must('sysctl -w net.ipv4.ipfrag_high_thresh=4096');
    for (let id = 0; id < 4; id++) {
      const bytes = bytesOf(fragment(0, new Uint8Array(16), true, 64));
      bytes[14 + 5] = id;
      const header = bytes.subarray(14, 34);
      header[10] = header[11] = 0;
      const sum = naiveChecksum(header);
      header[10] = sum >> 8;
      header[11] = sum & 255;
      rig.receive('c', hex(bytes));
    }
    expect(rig.fates).toEqual(['drop 4 nomem']);
  });
});
