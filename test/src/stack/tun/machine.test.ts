// A tun device in the whole machine: packets that a port receives are routed into it, and every one has a fate.

import { describe, expect, it } from 'vitest';
import { PS_PER_MS, PS_PER_US } from '../../../../hw/time/units.ts';
import { Testbed } from '../../../../src/scenario/testbed.ts';
import { STACK_DROPS, StackDrop } from '../../../../src/stack/outcome.ts';
import { udpFrame } from '../../../support/tun-rig.ts';

const MAC = '02:00:5e:00:00:01';

function machine(): Testbed {
  const testbed = new Testbed({ ports: [{ mac: MAC }, {}] });
  for (const command of [
    'sysctl -q -w net.ipv4.ip_forward=1',
    'ip addr add 10.0.0.254/24 dev p0',
    'tuntap open tun0 mode tun multi_queue',
    'tuntap open tun0 mode tun multi_queue',
    'ip link set tun0 up txqueuelen 4',
    'ip addr add 192.0.2.1/24 dev tun0',
  ]) {
    const result = testbed.runWords(command.split(' '));
    if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`);
  }
  return testbed;
}

/** From 10.0.0.1 to 192.0.2.9, for the machine's own address. */
function frame(srcPort: number): Uint8Array {
  const bytes = udpFrame(srcPort, 9);
  bytes.set([2, 0, 0x5e, 0, 0, 1]);
  bytes.set([192, 0, 2, 9], 30);
  bytes[24] = bytes[25] = 0;
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += (bytes[at] << 8) | bytes[at + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes[24] = (~sum >> 8) & 0xff;
  bytes[25] = ~sum & 0xff;
  return bytes;
}

describe('tun in the machine', () => {
  it('what is read ends as delivered, what does not fit as dropped, the rest waits', () => {
    const testbed = machine();
    const { ledger } = testbed;
    for (let n = 0; n < 40; n++) testbed.inject(0, n * 50 * PS_PER_US, frame(n));
    testbed.advance(20 * PS_PER_MS);
    expect(ledger.pending).toBe(8);
    expect(ledger.stackDrops[StackDrop.FULL_RING]).toBe(32);
    expect(STACK_DROPS[StackDrop.FULL_RING].name).toBe('full-ring');
    testbed.runWords(['tuntap', 'drain', '3']);
    expect(ledger.localEnds.get('tun')).toBe(4);
    testbed.inject(0, testbed.nowPs, frame(1));
    testbed.runWords(['tuntap', 'drain', '4']);
    testbed.inject(0, testbed.nowPs, frame(2));
    testbed.advance(20 * PS_PER_MS);
    expect(ledger.pending).toBe(0);
    expect(ledger.localEnds.get('tun')).toBe(10);
    testbed.checkInvariants();
  });

  it('queues come and go while traffic flows; every packet has one fate', () => {
    const testbed = machine();
    const { ledger } = testbed;
    const verbs = ['detach 3', 'attach 3', 'detach 4', 'attach 4', 'read 3', 'read 4'];
    for (let n = 0; n < 300; n++) {
      testbed.inject(0, n * 20 * PS_PER_US, frame(n % 23));
      if (n % 5 === 0) testbed.runWords(['tuntap', ...verbs[(n / 5) % 6].split(' ')]);
    }
    testbed.advance(20 * PS_PER_MS);
    testbed.runWords(['ip', 'link', 'del', 'tun0']);
    expect(ledger.pending).toBe(0);
    expect(ledger.stackDrops[StackDrop.TUN_PURGED]).toBeGreaterThan(0);
    testbed.checkInvariants();
  });
});
