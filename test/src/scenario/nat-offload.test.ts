// NAT on the three ways of a packet: the same traffic through the classic path, the software flowtable and hardware leaves the same
// bytes (spec E.42 to E.45, E.63). The whole machine, ports and driver included.

import { describe, expect, it } from 'vitest';
import { PS_PER_MS } from '../../../hw/time/units.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { frameOf, ipPacket, readPacket } from '../../support/packets.ts';
import type { Packet } from '../../support/packets.ts';
import { bytesOf, hex } from '../../support/stack-rig.ts';

const MACS = ['020000000101', '020000000201'];

type Way = 'classic' | 'software' | 'hardware';

const NAT: Record<string, string> = {
  'source NAT': `chain post { type nat hook postrouting priority srcnat; oifname "rs" masquerade
  }`,
  'source NAT with another port': `chain post { type nat hook postrouting priority srcnat;
    meta l4proto { tcp, udp } snat ip to 10.0.0.20:7000-7010
  }`,
  'destination NAT with another port': `chain pre { type nat hook prerouting priority dstnat;
    meta l4proto { tcp, udp } dnat ip to 10.0.0.3:8080
  }`,
  'both at once': `chain pre { type nat hook prerouting priority dstnat;
    meta l4proto { tcp, udp } dnat ip to 10.0.0.3:8080
  }
  chain post { type nat hook postrouting priority srcnat; oifname "rs" masquerade
  }`,
  'IPv6 source NAT': `chain post { type nat hook postrouting priority srcnat;
    oifname "rs" masquerade
  }`,
};

class Machine {
  readonly testbed: Testbed;
  private readonly out: string[] = [];

  constructor(way: Way, nat: string) {
    this.testbed = new Testbed({
      seed: 7,
      ports: ['rc', 'rs'].map((name, i) => ({
        name,
        mac: MACS[i].replace(/..(?=.)/g, '$&:'),
      })),
    });
    this.testbed.onFrame = (f) =>
      this.out.push(`${f.portIndex} ${hex(f.bytes.subarray(f.at, f.at + f.lenBytes))}`);
    const flowtable =
      way === 'classic'
        ? ''
        : `flowtable f {
        hook ingress priority 0; devices = { rc, rs };
        ${way === 'hardware' ? 'flags offload;' : ''}
      }`;
    const add = way === 'classic' ? '' : 'meta l4proto { tcp, udp } flow add @f';
    this.run('sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
    this.run('ip addr add 192.168.1.1/24 dev rc; ip addr add 10.0.0.1/24 dev rs');
    this.run('ip -6 addr add fd01::1/64 dev rc nodad; ip -6 addr add fd02::1/64 dev rs nodad');
    for (const [address, dev] of [
      ['192.168.1.2', 'rc'],
      ['10.0.0.2', 'rs'],
      ['10.0.0.3', 'rs'],
      ['fd01::2', 'rc'],
      ['fd02::2', 'rs'],
    ])
      this.run(`ip neigh add ${address} lladdr 02:00:00:00:00:0a dev ${dev} nud permanent`);
    const rules = `table inet t { counter seen { }
      ${flowtable}
      chain forwarded { type filter hook forward priority 0
        counter name seen
        ct state new,established ${add}
      }
      ${nat}
    }`;
    const error = this.testbed.netfilter?.nft.load(rules);
    if (error !== '') throw new Error(error);
    this.testbed.advance(5000 * PS_PER_MS);
    this.out.length = 0;
  }

  run(text: string): string {
    let out = '';
    for (const words of tokenize(text)) {
      const result = this.testbed.runWords(words);
      if (result.status !== 0) throw new Error(result.stderr);
      out += result.stdout;
    }
    return out;
  }

  /** Sends a packet, lets 20 ms pass; frames that left as `port hex`. */
  send(side: number, packet: Partial<Packet> | Uint8Array): string[] {
    const bytes = packet instanceof Uint8Array ? packet : ipPacket(packet);
    this.testbed.inject(
      side,
      this.testbed.nowPs,
      bytesOf(frameOf(bytes, MACS[side], '0200000000aa')),
    );
    this.testbed.advance(20 * PS_PER_MS);
    return this.out.splice(0);
  }

  get seen(): number {
    return this.testbed.namedCounters().get('seen') ?? 0;
  }
}

/** A whole exchange; every frame that left, and how many packets the forward chain saw. */
function exchange(
  way: Way,
  nat: string,
  protocol: 'tcp' | 'udp',
  six: boolean,
): [string[], number] {
  const machine = new Machine(way, nat);
  const client = six ? { src: 'fd01::2', dst: 'fd02::2' } : { src: '192.168.1.2', dst: '10.0.0.2' };
  const frames: string[] = [];
  const up = (more: Partial<Packet>): string[] => {
    const out = machine.send(0, { ...client, protocol, ...more });
    frames.push(...out);
    return out;
  };
  const first = up({ flags: 'S', seq: 999 });
  const outside = readPacket(bytesOf(first[0].slice(2 + 28)));
  const down = (more: Partial<Packet>): void => {
    const { src, dst, sport, dport } = outside;
    const packet = { src: dst, dst: src, sport: dport, dport: sport, protocol, ...more };
    frames.push(...machine.send(1, packet));
  };
  down({ flags: 'SA', seq: 4999, ack: 1000 });
  up({ flags: 'A', seq: 1000, ack: 5000 });
  for (let i = 0; i < 4; i++) {
    const payload = Uint8Array.from({ length: 10 + i }, (_unused, n) => n * i);
    up({ flags: 'PA', seq: 1000, ack: 5000, payload, ttl: 60 - i });
    down({ flags: 'PA', seq: 5000, ack: 1000, payload, ttl: 50 - i });
  }
  if (protocol === 'udp' && !six) {
    const bare = ipPacket({ ...client, protocol });
    bare.fill(0, 26, 28);
    frames.push(...machine.send(0, bare));
  }
  machine.testbed.checkInvariants();
  const fast = machine.testbed.netfilter?.flowtables.list()[0]?.counters.fastPackets ?? 0;
  if (way === 'software') expect(fast).toBe(frames.length - (protocol === 'tcp' ? 3 : 2));
  if (way === 'hardware') {
    expect(fast).toBe(0);
    expect(machine.run('conntrack -L')).toMatch(/\[HW_OFFLOAD\]/);
  }
  return [frames, machine.seen];
}

describe('NAT on every way', () => {
  for (const [name, nat] of Object.entries(NAT))
    for (const protocol of ['tcp', 'udp'] as const)
      it(`${name}, ${protocol}: the same bytes classic, in software and in hardware`, () => {
        const six = name.startsWith('IPv6');
        const [classic, all] = exchange('classic', nat, protocol, six);
        const [software, fewer] = exchange('software', nat, protocol, six);
        const [hardware, least] = exchange('hardware', nat, protocol, six);
        expect(software).toEqual(classic);
        expect(hardware).toEqual(classic);
        expect(all).toBe(classic.length);
        expect(fewer).toBe(protocol === 'tcp' ? 3 : 2);
        expect(least).toBeLessThanOrEqual(fewer);
        for (const frame of classic)
          expect(readPacket(bytesOf(frame.slice(30))).faults).toEqual([]);
      });
});
