// The ledger: every id ends once, late reports are extra frames, the sum is checked.

import { describe, expect, it } from 'vitest';
import type { EgressFrame } from '../../../hw/observer.ts';
import { DropReason, MissReason } from '../../../hw/pipeline/outcome.ts';
import { PacketLedger } from '../../../src/report/ledger.ts';
import { PATH_FAST, StackDrop } from '../../../src/stack/outcome.ts';

function egress(packetId: number, fromHost: boolean): EgressFrame {
  return {
    portIndex: 0,
    packetId,
    fromHost,
    queueIndex: fromHost ? 0 : -1,
    entryHandle: -1,
    bytes: new Uint8Array(64),
    at: 0,
    lenBytes: 60,
    startPs: 1000,
    endPs: 2000,
  };
}

describe('PacketLedger', () => {
  it('counts each fate once and adds up', () => {
    const ledger = new PacketLedger();
    const [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map((n) => ledger.begin(n, 100));
    ledger.device.onEgress(egress(a, false));
    ledger.device.onRx(b, 0, 0, 0, MissReason.NO_ENTRY, 5);
    ledger.stack.onForward(b, PATH_FAST);
    ledger.device.onEgress(egress(b, true));
    ledger.device.onEgress(egress(c, true));
    ledger.stack.onLocal(d, 'arp');
    ledger.stack.onDrop(e, StackDrop.NO_ROUTE);
    ledger.device.onDrop(f, 0, DropReason.RULE, 9);
    expect([...ledger.fatePackets]).toEqual([1, 1, 1, 1, 2]);
    expect(ledger.pending).toBe(0);
    expect(ledger.missPackets[MissReason.NO_ENTRY]).toBe(1);
    ledger.check();
  });

  it('recognises a second frame of the same packet, also when the slot has a new owner', () => {
    const ledger = new PacketLedger();
    const first = ledger.begin(0, 100);
    ledger.device.onEgress(egress(first, true));
    for (let i = 0; i < 10_000; i++) {
      const id = ledger.begin(i, 60);
      ledger.device.onEgress(egress(first, true));
      expect(ledger.isAlive(id)).toBe(true);
      ledger.device.onEgress(egress(id, false));
    }
    expect(ledger.extraFrames).toBe(10_000);
    expect(ledger.inPackets).toBe(10_001);
    ledger.check();
  });

  it('grows while packets are in flight', () => {
    const ledger = new PacketLedger();
    const ids = Array.from({ length: 10_000 }, (_, n) => ledger.begin(n, 64));
    expect(ledger.pending).toBe(10_000);
    ids.forEach((id, n) => expect(ledger.packetNumber(id)).toBe(n));
    for (const id of ids) ledger.stack.onDrop(id, StackDrop.TTL);
    expect(ledger.pending).toBe(0);
    ledger.check();
  });
});
