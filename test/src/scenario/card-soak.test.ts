// A card with thousands of flow entries to which everything happens: the link goes, a port is taken down, the driver resets
// the function, the rule set goes and comes back, the device's table is full, at last the driver is unbound. The real driver
// and the real device model, seeded. After each blow: every packet has one fate, no hardware entry without a live flow; at
// the end nothing is left.

import { describe, expect, it } from 'vitest';
import { twinRemove } from '../../../driver/twin/probe.ts';
import { genericNic } from '../../../hw/models.ts';
import { PS_PER_MS, PS_PER_S, PS_PER_US } from '../../../hw/time/units.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { ipPacket } from '../../support/packets.ts';
import { Random } from '../../support/random.ts';

const FLOWS = 2500;
const ROUNDS = 40;
const PACKETS_PER_ROUND = 400;

const RULES =
  'table inet t {\n flowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; counter; }\n' +
  ' chain f { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @ft; }\n}\n';

const SETUP = [
  'sysctl -w net.ipv4.ip_forward=1',
  'ip addr add 10.0.0.254/24 dev p0',
  'ip addr add 10.0.1.254/24 dev p1',
];
const NEIGHBOURS = [
  'ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev p0 nud permanent',
  'ip neigh replace 10.0.1.1 lladdr 02:00:00:00:00:02 dev p1 nud permanent',
];

class SoakedCard {
  readonly testbed: Testbed;
  /** Most entries that the card held at once. */
  most = 0;

  constructor(flowEntries: number) {
    this.testbed = new Testbed({
      ports: [{ name: 'p0' }, { name: 'p1' }],
      device: { exactMatch: { ...genericNic().exactMatch, entries: flowEntries } },
    });
    for (const command of [...SETUP, ...NEIGHBOURS]) this.must(command);
    this.must('nft -f -', RULES);
    this.testbed.advanceTo(PS_PER_S);
  }

  must(command: string, stdin?: string): void {
    const result = this.testbed.runWords(command.split(' '), stdin);
    expect(result, command).toMatchObject({ status: 0, stderr: '' });
  }

  send(flow: number, isReply: boolean): void {
    const { testbed } = this;
    const here = { src: '10.0.0.1', sport: 1024 + flow };
    const there = { src: '10.0.1.1', sport: 53 };
    const [from, to] = isReply ? [there, here] : [here, there];
    const packet = ipPacket({
      protocol: 'udp',
      src: from.src,
      dst: to.src,
      sport: from.sport,
      dport: to.sport,
    });
    const port = isReply ? 1 : 0;
    const frame = new Uint8Array(14 + packet.length);
    frame.set(testbed.devices[port].mac, 0);
    frame.set([2, 0, 0, 0, 0, port + 1, 8, 0], 6);
    frame.set(packet, 14);
    testbed.inject(port, testbed.nowPs + 5 * PS_PER_US, frame);
  }

  /** Every flow there and back, so that all are in hardware where there is room. */
  establish(): void {
    for (let flow = 0; flow < FLOWS; flow++) {
      this.send(flow, false);
      this.send(flow, true);
    }
    this.testbed.advance(200 * PS_PER_MS);
    this.look();
  }

  look(): void {
    this.testbed.checkInvariants();
    this.most = Math.max(this.most, this.testbed.nic.pipeline.flows.count);
  }

  /** Something happens to the card or to the rules. */
  blow(kind: number, port: number): void {
    const { testbed } = this;
    const name = `p${port}`;
    if (kind === 0) {
      testbed.nic.setLink(port, false);
      testbed.advance(20 * PS_PER_MS);
      this.look();
      testbed.nic.setLink(port, true);
    } else if (kind === 1) {
      this.must(`ip link set ${name} down`);
      this.look();
      this.must(`ip link set ${name} up`);
    } else if (kind === 2) this.must(`devlink dev reload pci/0000:01:00.${port}`);
    else if (kind === 3) {
      this.must('nft delete table inet t');
      this.look();
      this.must('nft -f -', RULES);
    } else if (kind === 4) this.must(`ethtool -G ${name} rx 256`);
    else this.testbed.runWords(['conntrack', '-F']);
    testbed.advance(50 * PS_PER_MS);
    for (const command of NEIGHBOURS) this.must(command);
  }

  /** No more packets: all flows age and the card must be empty. */
  rest(): void {
    const { testbed } = this;
    expect(testbed.settle(testbed.nowPs + 100 * PS_PER_S)).toBe(true);
    testbed.advance(300 * PS_PER_S);
    testbed.checkInvariants();
    expect(testbed.nic.pipeline.flows.count).toBe(0);
    expect(testbed.runWords(['conntrack', '-L']).stdout).not.toContain('OFFLOAD');
    const { ledger } = testbed;
    const ended = ledger.fatePackets.reduce((sum, count) => sum + count, 0);
    expect(ended).toBe(ledger.inPackets);
  }
}

describe('soak: thousands of entries in the card', () => {
  it.each([
    { seed: 1, flowEntries: 8192, name: 'with room for all' },
    { seed: 2, flowEntries: 8192, name: 'with room for all' },
    { seed: 3, flowEntries: 2048, name: 'with room for fewer than half' },
  ])('seed $seed, a table $name', ({ seed, flowEntries }) => {
    const random = new Random(seed * 7919);
    const card = new SoakedCard(flowEntries);
    card.establish();
    const full = flowEntries < 2 * FLOWS;
    expect(card.most).toBeGreaterThan(full ? 1900 : 2 * FLOWS - 100);
    expect(card.most).toBeLessThanOrEqual(flowEntries);
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < PACKETS_PER_ROUND; i++)
        card.send(random.below(FLOWS), random.below(2) === 1);
      card.blow(random.below(6), random.below(2));
      card.look();
    }
    card.rest();
  });

  it('the driver is unbound from a full card, and from the other port while its link is down', () => {
    const card = new SoakedCard(8192);
    const { testbed } = card;
    card.establish();
    expect(card.most).toBeGreaterThan(2 * FLOWS - 100);
    twinRemove(testbed.devices[1]);
    testbed.advance(PS_PER_S);
    testbed.nic.checkInvariants();
    testbed.nic.setLink(0, false);
    twinRemove(testbed.devices[0]);
    testbed.advance(300 * PS_PER_S);
    testbed.nic.checkInvariants();
    testbed.ledger.check();
    expect(testbed.nic.pipeline.flows.count).toBe(0);
    expect(testbed.ledger.pending).toBe(0);
    expect(testbed.runWords(['conntrack', '-L']).stdout).not.toContain('OFFLOAD');
  });
});
