// NAT over the whole IP stack: what leaves for what came in, replies, ICMP errors about translated packets, port selection, and the
// end of masqueraded connections. Expectations are those of spec C.7, E.43 to E.45 and E.86; checksums are judged by the oracle.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipPacket, readPacket } from '../../../support/packets.ts';
import type { Packet } from '../../../support/packets.ts';
import { RouterRig } from '../../../support/router-rig.ts';
import type { Seen } from '../../../support/router-rig.ts';

const SEED = 20261121;

const table = (post: string, pre = ''): string => `table inet t {
  chain pre { type nat hook prerouting priority dstnat; ${pre}
  }
  chain post { type nat hook postrouting priority srcnat; ${post}
  }
}`;

/** Source and destination as `a:p>b:q`. */
function ends(p: Packet | Seen | undefined): string {
  return p === undefined ? 'nothing' : `${p.src}:${p.sport}>${p.dst}:${p.dport}`;
}

/** The packet that answers one. */
function answer(p: Seen, more: Partial<Packet> = {}): Partial<Packet> {
  const { src, dst, sport, dport, protocol } = p;
  const isIcmp = protocol === 'icmp' || protocol === 'icmpv6';
  return {
    src: dst,
    dst: src,
    sport: isIcmp ? sport : dport,
    dport: sport,
    protocol,
    ...(protocol === 'icmp' ? { flags: '0/0' } : {}),
    ...(protocol === 'icmpv6' ? { flags: '129/0' } : {}),
    ...more,
  };
}

describe('source NAT', () => {
  it('masquerades and brings replies back, over TCP, UDP and echo', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
      const [out] = rig.send('c', { protocol, ...(protocol === 'tcp' ? { flags: 'S' } : {}) });
      expect(out.port).toBe('s');
      expect(out.src).toBe('10.0.0.1');
      expect(out.sport).toBe(4000);
      expect(out.faults).toEqual([]);
      const [back] = rig.send(
        's',
        answer(out, protocol === 'tcp' ? { flags: 'SA', ack: 1001 } : {}),
      );
      expect(back.port).toBe('c');
      expect(back.dst).toBe('192.168.1.2');
      expect(back.faults).toEqual([]);
    }
    expect(rig.listed('-p icmp')[0]).toMatch(
      /src=192.168.1.2 dst=10.0.0.2 type=8 code=0 id=4000 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=4000/,
    );
  });

  it('translates IPv6', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    const six = { src: 'fd01::2', dst: 'fd02::2' };
    for (const protocol of ['tcp', 'udp', 'icmpv6'] as const) {
      const [out] = rig.send('c', {
        ...six,
        protocol,
        ...(protocol === 'tcp' ? { flags: 'S' } : {}),
      });
      expect(out.src).toBe('fd02::1');
      expect(out.faults).toEqual([]);
      const [back] = rig.send(
        's',
        answer(out, protocol === 'tcp' ? { flags: 'SA', ack: 1001 } : {}),
      );
      expect(ends(back)).toContain(`>fd01::2:`);
      expect(back.faults).toEqual([]);
    }
  });

  it('E.86: a taken port of 1024 or more becomes another one of 1024 to 65535', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    const sports = new Set<number>();
    for (const host of [2, 3, 4, 5]) {
      const [out] = rig.send('c', { src: `192.168.1.${host}`, protocol: 'udp', sport: 5000 });
      expect(out.sport).toBeGreaterThanOrEqual(1024);
      sports.add(out.sport);
      const [back] = rig.send('s', answer(out));
      expect(ends(back)).toBe(`10.0.0.2:80>192.168.1.${host}:5000`);
    }
    expect(sports.size).toBe(4);
    expect(sports).toContain(5000);
  });

  it('keeps ports below 512 and 600 to 1023 in their class', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    for (const [sport, low, high] of [
      [100, 1, 511],
      [700, 600, 1023],
      [600, 600, 1023],
    ])
      for (const host of [2, 3, 4]) {
        const [out] = rig.send('c', { src: `192.168.1.${host}`, protocol: 'udp', sport });
        expect(out.sport).toBeGreaterThanOrEqual(low);
        expect(out.sport).toBeLessThanOrEqual(high);
      }
  });

  it('gives echo another id when two hosts use the same one', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    const [a] = rig.send('c', { protocol: 'icmp', sport: 7 });
    const [b] = rig.send('c', { protocol: 'icmp', sport: 7, src: '192.168.1.3' });
    expect(a.sport).toBe(7);
    expect(b.sport).not.toBe(7);
    expect(b.faults).toEqual([]);
    const [back] = rig.send('s', answer(b));
    expect([back.dst, back.sport]).toEqual(['192.168.1.3', 7]);
    expect(back.faults).toEqual([]);
  });

  it('a null binding moves the port when a reply would be taken for another connection’s', () => {
    const rig = new RouterRig(table('ip saddr 192.168.1.3 snat ip to 192.168.1.2'));
    const [first] = rig.send('c', { src: '192.168.1.3', protocol: 'udp', sport: 6000 });
    expect(ends(first)).toBe('192.168.1.2:6000>10.0.0.2:80');
    const [second] = rig.send('c', { src: '192.168.1.2', protocol: 'udp', sport: 6000 });
    expect(second.src).toBe('192.168.1.2');
    expect(second.sport).not.toBe(6000);
    expect(ends(rig.send('s', answer(second))[0])).toBe('10.0.0.2:80>192.168.1.2:6000');
  });

  it('a source keeps its address and port towards another destination', () => {
    const rig = new RouterRig(table('meta l4proto udp snat ip to 10.0.0.50-10.0.0.60:3000-3100'));
    const [a] = rig.send('c', { protocol: 'udp' });
    const [b] = rig.send('c', { protocol: 'udp', dst: '10.0.0.3' });
    expect(b.src).toBe(a.src);
    expect(b.sport).toBe(a.sport);
    expect(a.sport).toBeGreaterThanOrEqual(3000);
    expect(a.sport).toBeLessThanOrEqual(3100);
  });

  it('drops when the range is used up', () => {
    const rig = new RouterRig(table('meta l4proto udp snat ip to 10.0.0.50:3000-3001'));
    const outs = [2, 3, 4].map((host) =>
      rig.send('c', { src: `192.168.1.${host}`, protocol: 'udp', sport: 9 }),
    );
    expect(outs.map((o) => o.length)).toEqual([1, 1, 0]);
    expect(new Set([outs[0][0].sport, outs[1][0].sport])).toEqual(new Set([3000, 3001]));
    expect(rig.shell('conntrack -S')).toContain('insert_failed=1 ');
  });

  it('random takes a fresh port, and the same seed the same one', () => {
    const ports = (seed: number): number[] => {
      const rig = new RouterRig(table('oifname "rs" masquerade fully-random'), seed);
      return [4000, 4001, 4002].map((sport) => rig.send('c', { protocol: 'udp', sport })[0].sport);
    };
    expect(ports(1)).toEqual(ports(1));
    expect(ports(1)).not.toEqual(ports(2));
    expect(ports(1)).not.toEqual([4000, 4001, 4002]);
  });

  it('chains run for the first packet only, and for none of a connection that was there before', () => {
    const rig = new RouterRig(
      'table inet f { chain c { type filter hook forward priority 0; ct state new accept; } }',
    );
    rig.send('c', { protocol: 'udp' });
    rig.rules(table('counter masquerade'));
    expect(ends(rig.send('c', { protocol: 'udp' })[0])).toBe('192.168.1.2:4000>10.0.0.2:80');
    rig.send('c', { protocol: 'udp', sport: 1 + 4000 });
    rig.send('c', { protocol: 'udp', sport: 1 + 4000 });
    // The old, unreplied connection is still new and was looked at once; the new one once.
    expect(rig.shell('nft list chain inet t post')).toContain('counter packets 2 ');
  });
});

describe('destination NAT', () => {
  it('E.86, E.44: keeps the port without a range, changes it with one; replies look right', () => {
    const rig = new RouterRig(
      table(
        '',
        'ip daddr 10.9.9.9 tcp dport 80 dnat ip to 10.0.0.3:8080\nip daddr 10.9.9.9 dnat ip to 10.0.0.2',
      ),
    );
    const [web] = rig.send('c', { dst: '10.9.9.9', flags: 'S' });
    expect(ends(web)).toBe('192.168.1.2:4000>10.0.0.3:8080');
    const [back] = rig.send('s', answer(web, { flags: 'SA', ack: 1001 }));
    expect(ends(back)).toBe('10.9.9.9:80>192.168.1.2:4000');
    expect([...web.faults, ...back.faults]).toEqual([]);
    const [dns] = rig.send('c', { dst: '10.9.9.9', protocol: 'udp', dport: 53 });
    expect(ends(dns)).toBe('192.168.1.2:4000>10.0.0.2:53');
  });

  it('a range of ports is taken in order', () => {
    const rig = new RouterRig(table('', 'udp dport 80 dnat ip to 10.0.0.3:8000-8001'));
    const [a] = rig.send('c', { protocol: 'udp' });
    expect(a.dport).toBe(8000);
  });

  it('takes the address, and with it the port, from a map by what the packet says', () => {
    const rig = new RouterRig(
      table(
        '',
        `dnat ip to ip daddr . tcp dport map {
           10.9.9.9 . 80 : 10.0.0.3 . 8080, 10.9.9.9 . 81 : 10.0.0.4 . 8081 }
         dnat ip to udp dport map { 53 : 10.0.0.5, 54-60 : 10.0.0.6 }
         dnat ip to ip daddr map { 10.9.8.0/24 : 10.0.0.7-10.0.0.8 }`,
      ),
    );
    const sent = (packet: Partial<Packet>): string => ends(rig.send('c', packet)[0]).split('>')[1];
    expect(sent({ dst: '10.9.9.9', flags: 'S', dport: 80 })).toBe('10.0.0.3:8080');
    expect(sent({ dst: '10.9.9.9', flags: 'S', dport: 81 })).toBe('10.0.0.4:8081');
    expect(sent({ dst: '10.0.0.2', flags: 'S', dport: 80 })).toBe('10.0.0.2:80');
    expect(sent({ dst: '10.9.9.9', protocol: 'udp', dport: 53 })).toBe('10.0.0.5:53');
    expect(sent({ dst: '10.9.9.9', protocol: 'udp', dport: 55 })).toBe('10.0.0.6:55');
    expect(sent({ dst: '10.9.8.9', flags: 'S', dport: 99 })).toMatch(/^10.0.0.[78]:99$/);
  });

  it('redirect sends to the machine itself, which answers from the old address', () => {
    const rig = new RouterRig(table('', 'tcp dport 80 redirect to :8080'));
    const [reset] = rig.send('c', { dst: '10.0.0.2', flags: 'S' });
    expect([reset.port, reset.flags]).toEqual(['c', 'RA']);
    expect(ends(reset)).toBe('10.0.0.2:80>192.168.1.2:4000');
    expect(reset.faults).toEqual([]);
  });

  it('source NAT at input is undone at output, whose route it changes', () => {
    const rig = new RouterRig(`table inet t {
      chain in { type nat hook input priority srcnat; ip protocol icmp snat ip to 10.0.0.9
      }
    }`);
    const [reply] = rig.send('c', { dst: '192.168.1.1', protocol: 'icmp' });
    expect([reply.port, reply.src, reply.dst]).toEqual(['c', '192.168.1.1', '192.168.1.2']);
    expect(reply.faults).toEqual([]);
    expect(rig.listed('-p icmp')[0]).toContain('src=192.168.1.1 dst=10.0.0.9 type=0');
  });
});

describe('ICMP errors about translated packets', () => {
  const both = table(
    'oifname "rs" masquerade',
    'ip daddr 10.9.9.9 tcp dport 80 dnat ip to 10.0.0.2:8080',
  );

  it('are given back to the client as about the packet it sent', () => {
    const rig = new RouterRig(both);
    const [out] = rig.send('c', { dst: '10.9.9.9', flags: 'S' });
    expect(ends(out)).toBe('10.0.0.1:4000>10.0.0.2:8080');
    const quoted = ipPacket({
      src: out.src,
      dst: out.dst,
      sport: out.sport,
      dport: out.dport,
      flags: 'S',
    });
    for (const quoteBytes of [28, 40]) {
      const [error] = rig.send('s', {
        src: '10.0.0.7',
        dst: '10.0.0.1',
        protocol: 'icmp',
        flags: '3/1',
        sport: 0,
        seq: 0,
        payload: quoted.slice(0, quoteBytes),
      });
      expect([error.port, error.dst, error.faults]).toEqual(['c', '192.168.1.2', []]);
      const inner = readPacket(
        Uint8Array.from([...error.payload, ...new Uint8Array(40)]).slice(0, 40),
      );
      expect(`${inner.src}:${inner.sport}>${inner.dst}:${inner.dport}`).toBe(
        '192.168.1.2:4000>10.9.9.9:80',
      );
      expect(inner.faults.includes('ip')).toBe(false);
      // A quotation with its whole TCP header has a right checksum after the change too.
      if (quoteBytes === 40) expect(inner.faults).toEqual([]);
    }
    expect(rig.listed()[0]).toContain('[UNREPLIED]');
  });

  it('the router’s own errors about replies name the outside addresses', () => {
    const rig = new RouterRig(both);
    const [out] = rig.send('c', { flags: 'S' });
    const [error] = rig.send('s', answer(out, { flags: 'SA', ack: 1001, ttl: 1 }));
    expect([error.port, error.flags, error.src, error.dst]).toEqual([
      's',
      '11/0',
      '10.0.0.1',
      '10.0.0.2',
    ]);
    const inner = readPacket(error.payload);
    expect(ends(inner)).toBe('10.0.0.2:80>10.0.0.1:4000');
    expect([...error.faults, ...inner.faults]).toEqual([]);
  });

  it('go through IPv6 NAT likewise', () => {
    const rig = new RouterRig(both);
    const [out] = rig.send('c', { src: 'fd01::2', dst: 'fd02::2', protocol: 'udp' });
    const quoted = ipPacket({ src: out.src, dst: out.dst, sport: out.sport, protocol: 'udp' });
    const [error] = rig.send('s', {
      src: 'fd02::2',
      dst: 'fd02::1',
      protocol: 'icmpv6',
      flags: '1/4',
      sport: 0,
      seq: 0,
      payload: quoted,
    });
    expect([error.port, error.dst, error.faults]).toEqual(['c', 'fd01::2', []]);
    const inner = readPacket(error.payload);
    expect(ends(inner)).toBe('fd01::2:4000>fd02::2:80');
    expect(inner.faults).toEqual([]);
  });
});

describe('the end of masqueraded connections', () => {
  it.each([
    ['its address goes', 'ip addr del 10.0.0.1/24 dev rs'],
    ['its device goes down', 'ip link set rs down'],
  ])('%s', (_name, command) => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    rig.send('c', { protocol: 'udp' });
    rig.send('s', { protocol: 'udp', src: '10.0.0.3', dst: '192.168.1.3' });
    expect(rig.listed()).toHaveLength(2);
    rig.shell(command);
    expect(rig.listed()).toHaveLength(1);
    expect(rig.listed()[0]).toContain('src=10.0.0.3');
  });

  it('a packet that would leave elsewhere ends its connection', () => {
    const rig = new RouterRig(table('masquerade'));
    rig.shell('sysctl -w net.ipv4.conf.all.send_redirects=0');
    rig.shell('ip route add 172.16.0.0/16 via 10.0.0.2');
    rig.send('c', { protocol: 'udp', dst: '172.16.0.1' });
    rig.shell('ip route replace 172.16.0.0/16 via 192.168.1.3');
    expect(rig.send('c', { protocol: 'udp', dst: '172.16.0.1' })).toEqual([]);
    expect(rig.listed()).toEqual([]);
  });
});

describe(`NAT as a whole (seed ${SEED})`, () => {
  const host = fc.integer({ min: 2, max: 5 });
  const port = fc.constantFrom(53, 600, 5000, 5001, 40000);
  const connection = fc.record({
    host,
    server: fc.constantFrom('10.0.0.2', '10.0.0.3', '10.9.9.9'),
    protocol: fc.constantFrom<'udp' | 'icmp' | 'tcp'>('udp', 'icmp', 'tcp'),
    sport: port,
    dport: fc.constantFrom(53, 80),
  });
  const policy = fc.constantFrom(
    'oifname "rs" masquerade',
    'oifname "rs" masquerade random',
    'snat ip to 10.0.0.20-10.0.0.22',
    'snat ip to 10.0.0.20-10.0.0.22 persistent',
    'meta l4proto { tcp, udp } snat ip to 10.0.0.20-10.0.0.21:1000-1007',
    '',
  );

  it('reply after translation is the identity, and no two connections have one reply', () => {
    fc.assert(
      fc.property(policy, fc.array(connection, { maxLength: 12 }), (post, connections) => {
        const rig = new RouterRig(table(post, 'ip daddr 10.9.9.9 dnat ip to 10.0.0.4-10.0.0.6'));
        const replies = new Map<string, string>();
        for (const c of connections) {
          const sent: Partial<Packet> = {
            src: `192.168.1.${c.host}`,
            dst: c.server,
            protocol: c.protocol,
            sport: c.sport,
            dport: c.dport,
            ...(c.protocol === 'tcp' ? { flags: 'S' } : {}),
          };
          const [out] = rig.send('c', sent);
          if (out === undefined) continue; // range used up
          expect(out.faults).toEqual([]);
          const own = ends(readPacket(ipPacket(sent)));
          const key = `${c.protocol} ${ends(out)}`;
          expect(replies.get(key) ?? own).toBe(own);
          replies.set(key, own);
          const tcp = c.protocol === 'tcp' ? { flags: 'SA', ack: 1001 } : {};
          const [back] = rig.send('s', answer(out, tcp));
          expect(back.faults).toEqual([]);
          const isIcmp = c.protocol === 'icmp';
          expect(`${back.dst}:${isIcmp ? back.sport : back.dport}`).toBe(`${sent.src}:${c.sport}`);
          expect(back.src).toBe(c.server);
        }
        return true;
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  it('E.45: UDP checksum 0 stays 0, and a sum that comes out 0 is sent as ffff', () => {
    const rig = new RouterRig(table('oifname "rs" masquerade'));
    const bare = ipPacket({ protocol: 'udp' });
    bare.fill(0, 26, 28);
    const check = (frame: string): number => parseInt(frame.slice(28 + 52, 28 + 56), 16);
    rig.receive('c', `0200000001010200000000020800${Buffer.from(bare).toString('hex')}`);
    expect(check(rig.take()[0].frame)).toBe(0);
    // The payload that makes the sum zero behind the translation.
    const zero = ipPacket({
      protocol: 'udp',
      src: '10.0.0.1',
      payload: Uint8Array.of(0, 0),
      ttl: 63,
    });
    const missing = (zero[26] << 8) | zero[27];
    const payload = Uint8Array.of(missing >> 8, missing & 255);
    rig.receive(
      'c',
      `0200000001010200000000020800${Buffer.from(ipPacket({ protocol: 'udp', payload })).toString('hex')}`,
    );
    expect(check(rig.take()[0].frame)).toBe(0xffff);
  });
});

describe('what the kernel and nft refuse', () => {
  const refusals: [string, string, RegExp][] = [
    ['snat in prerouting', table('', 'snat ip to 10.0.0.9'), /Operation not supported/],
    ['dnat in postrouting', table('dnat ip to 10.0.0.9'), /Operation not supported/],
    ['masquerade in prerouting', table('', 'masquerade'), /Operation not supported/],
    [
      'nat in a filter chain',
      'table ip t { chain c { type filter hook postrouting priority 0; masquerade; }\n}',
      /Operation not supported/,
    ],
    [
      'through a jump',
      'table ip t { chain x { masquerade; }\nchain c { type filter hook postrouting priority 0; jump x; }\n}',
      /Operation not supported/,
    ],
    [
      'a nat chain at forward',
      'table ip t { chain c { type nat hook forward priority 0; }\n}',
      /Operation not supported/,
    ],
    [
      'a nat chain before conntrack',
      'table ip t { chain c { type nat hook prerouting priority -300; }\n}',
      /Operation not supported/,
    ],
    ['no family in inet', table('snat to { }'), /syntax error/],
    [
      'an address without family in inet',
      table('snat to 10.0.0.9'),
      /specify `snat ip' or 'snat ip6' in inet table to disambiguate/,
    ],
    [
      'a port without protocol',
      table('', 'dnat ip to 10.0.0.9:80'),
      /transport protocol mapping is only valid after transport protocol match/,
    ],
    [
      'a range backwards',
      table('udp dport 1 snat ip to 10.0.0.9:20-10'),
      /Range has zero or negative size/,
    ],
  ];
  it.each(refusals)('%s', (_name, rules, message) => {
    const rig = new RouterRig();
    expect(rig.nf.nft.load(rules)).toMatch(message);
    expect(rig.shell('nft list ruleset')).toBe('');
  });

  it('lists what it was given, as text and as JSON', () => {
    const rules = `table inet t {
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 80 redirect to :8080
		ip6 daddr fd00::1 tcp dport 80 dnat ip6 to [fd02::2]:8080
		ip daddr 10.9.9.9 dnat ip to 10.0.0.2
	}

	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "v0" masquerade random
		ip saddr 10.9.0.0/24 meta l4proto tcp snat ip to 10.0.0.50-10.0.0.60:1000-2000
		meta l4proto udp masquerade to :1024-2048 fully-random,persistent
	}
}
`;
    const rig = new RouterRig(rules);
    expect(rig.shell('nft list ruleset')).toBe(rules);
    const json = rig.shell('nft -j list ruleset');
    expect(json).toContain('{"masquerade": {"flags": "random"}}');
    // As the recorded nft.commands.txt has it.
    expect(json).toContain(
      '{"snat": {"family": "ip", "addr": {"range": ["10.0.0.50", "10.0.0.60"]}, "port": {"range": [1000, 2000]}}}',
    );
  });
});
