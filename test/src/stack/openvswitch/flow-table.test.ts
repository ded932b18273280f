// The flow table of the datapath against a scan over all flows: a match is found when there is one, and what is found does match; with
// flows that do not overlap it is the same one. Random masks and keys from small pools, so that near-misses are common.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowKey } from '../../../../src/stack/openvswitch/flow-key.ts';
import { FlowTable } from '../../../../src/stack/openvswitch/flow-table.ts';
import type { Flow } from '../../../../src/stack/openvswitch/flow-table.ts';

const small = fc.integer({ min: 0, max: 3 });
const keyArb = fc.record({ inPort: small, recirc: small, proto: small, src: small, tpDst: small });
type KeyValues = typeof keyArb extends fc.Arbitrary<infer T> ? T : never;
const maskArb = fc.record({
  recirc: fc.boolean(),
  proto: fc.boolean(),
  src: fc.constantFrom<number[]>(0, 1, 0xff),
  tpDst: fc.boolean(),
});

function keyOf(values: KeyValues): FlowKey {
  const key = new FlowKey();
  key.inPort = values.inPort;
  key.recircId = values.recirc;
  key.ipProto = values.proto;
  key.ipv4Src[3] = values.src;
  key.tpDst = values.tpDst;
  return key;
}

type MaskValues = typeof maskArb extends fc.Arbitrary<infer T> ? T : never;

function maskOf(values: MaskValues): FlowKey {
  const mask = new FlowKey();
  mask.inPort = 0xffff;
  mask.recircId = values.recirc ? 0xffffffff : 0;
  mask.ipProto = values.proto ? 0xff : 0;
  mask.ipv4Src[3] = values.src;
  mask.tpDst = values.tpDst ? 0xffff : 0;
  return mask;
}

/** By the bytes: the packet agrees with the flow wherever the mask has a bit. */
function matches(flow: Flow, packet: FlowKey): boolean {
  return flow.key.bytes.every((byte, i) => ((byte ^ packet.bytes[i]) & flow.mask.bytes[i]) === 0);
}

describe('FlowTable', () => {
  it('finds what a scan over all flows finds', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), key: keyArb, mask: maskArb }),
      fc.record({ kind: fc.constant('remove' as const), at: fc.nat(20) }),
      fc.record({ kind: fc.constant('look' as const), key: keyArb, hash: fc.nat(6) }),
      fc.record({ kind: fc.constant('rebalance' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const table = new FlowTable();
        const flows: Flow[] = [];
        for (const one of steps) {
          if (one.kind === 'add') {
            const [key, mask] = [keyOf(one.key), maskOf(one.mask)];
            // The kernel refuses a flow whose key an old flow matches.
            if (table.findAny(key) === null)
              flows.push(table.insert(key, mask, [], new Uint8Array(0)));
          } else if (one.kind === 'remove') {
            const [gone] = flows.splice(one.at % Math.max(flows.length, 1), 1);
            if (gone !== undefined) table.remove(gone);
          } else if (one.kind === 'rebalance') table.rebalance();
          else {
            const packet = keyOf(one.key);
            const scanned = flows.filter((flow) => matches(flow, packet));
            const found = table.lookup(packet, one.hash);
            if (scanned.length === 0) expect(found).toBeNull();
            else expect(scanned).toContain(found);
          }
          expect(table.flowCount).toBe(flows.length);
          expect(table.maskCount).toBe(new Set(flows.map(({ mask }) => mask)).size);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('tries the cached mask first: one try a packet once it is known (spec A.4)', () => {
    const table = new FlowTable();
    const masks = [{ proto: true }, { src: 0xff }, { tpDst: true }].map((part) =>
      maskOf({ recirc: false, proto: false, src: 0, tpDst: false, ...part }),
    );
    const keys = [1, 2, 3].map((n) => keyOf({ inPort: n, recirc: 0, proto: n, src: n, tpDst: n }));
    masks.forEach((mask, i) => table.insert(keys[i], mask, [], new Uint8Array(0)));
    table.lookup(keys[2], 77);
    expect(table.maskHits).toBe(3);
    table.lookup(keys[2], 77);
    expect(table.maskHits).toBe(4);
    expect(table.cacheHits).toBe(1);
    table.lookup(keys[2], 0);
    expect(table.maskHits).toBe(7);
  });

  it('puts the last mask in the place of one whose last flow went', () => {
    const table = new FlowTable();
    const flows = [{ proto: true }, { src: 0xff }, { tpDst: true }].map((part, i) => {
      const mask = maskOf({ recirc: false, proto: false, src: 0, tpDst: false, ...part });
      const key = keyOf({ inPort: i + 1, recirc: 0, proto: 1, src: 1, tpDst: 1 });
      return table.insert(key, mask, [], new Uint8Array(0));
    });
    table.remove(flows[0]);
    expect(table.lookup(flows[2].key, 0)).toBe(flows[2]);
    expect(table.maskHits).toBe(1);
  });
});
