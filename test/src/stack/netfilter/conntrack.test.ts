// Conntrack's behaviours E.76 to E.83 and the parts around them: zones, labels, clashes, room in a full table, SCTP, GRE, switches.
// Values are those of the specification (C.2 to C.6).

import { describe, expect, it } from 'vitest';
import { SkBuff } from '../../../../driver/skb.ts';
import { ipPacket } from '../../../support/packets.ts';
import type { Packet } from '../../../support/packets.ts';
import { RouterRig } from '../../../support/router-rig.ts';

const TRACK = `table inet t {
  counter inv { }
  chain c { type filter hook forward priority 0; ct state invalid counter name inv; }
}`;

/** A listing without addresses, ports, marks, use. */
function short(rig: RouterRig, options = ''): string[] {
  return rig
    .listed(options)
    .map((line) => line.replace(/ (src|dst|sport|dport|mark|use)=\S+/g, '').replace(/ +/g, ' '));
}

function invalidCount(rig: RouterRig): number {
  return rig.nf.nft.ruleset.tables[0].counters[0].values[0];
}

const up = (flags: string, seq: number, ack = 0): Partial<Packet> => ({ flags, seq, ack });
const down = (flags: string, seq: number, ack = 0): Partial<Packet> => ({
  flags,
  seq,
  ack,
  src: '10.0.0.2',
  dst: '192.168.1.2',
  sport: 80,
  dport: 4000,
});

/** Handshake with data acknowledged on both sides. */
function establish(rig: RouterRig): void {
  rig.send('c', up('S', 1000));
  rig.send('s', down('SA', 5000, 1001));
  rig.send('c', up('A', 1001, 5001));
}

describe('TCP', () => {
  it('E.76: a connection from SYN to TIME_WAIT', () => {
    const rig = new RouterRig(TRACK);
    const seen: string[] = [];
    const note = (): number => seen.push(short(rig)[0]);
    rig.send('c', up('S', 1000));
    note();
    rig.send('s', down('SA', 5000, 1001));
    note();
    rig.send('c', up('A', 1001, 5001));
    note();
    rig.send('c', up('FA', 1001, 5001));
    note();
    rig.send('s', down('FA', 5001, 1002));
    note();
    rig.send('c', up('A', 1002, 5002));
    note();
    const timeouts = [120, 60, 432000, 120, 30, 120];
    const rest = [
      'SYN_SENT [UNREPLIED]',
      'SYN_RECV',
      'ESTABLISHED [ASSURED]',
      'FIN_WAIT [ASSURED]',
      'LAST_ACK [ASSURED]',
      'TIME_WAIT [ASSURED]',
    ];
    seen.forEach((line, i) => {
      const [, , timeout, ...words] = line.split(' ');
      expect(words.join(' ')).toBe(rest[i]);
      expect(Math.abs(Number(timeout) - timeouts[i])).toBeLessThanOrEqual(1);
    });
  });

  it('E.77: resets', () => {
    const refused = new RouterRig(TRACK);
    refused.send('c', up('S', 1000));
    refused.send('s', down('RA', 0, 1001));
    expect(refused.listed()).toEqual([]);

    const rig = new RouterRig(TRACK);
    establish(rig);
    rig.send('s', down('A', 5001, 1001));
    rig.send('c', { ...up('R', 900), ack: 0 });
    expect(invalidCount(rig)).toBe(1);
    expect(short(rig)[0]).toContain('ESTABLISHED');
    rig.send('c', up('R', 1001));
    expect(short(rig)[0]).toMatch(/^tcp 6 (9|10) CLOSE \[ASSURED\]$/);
  });

  it('tcp_ignore_invalid_rst lets an old reset pass', () => {
    const rig = new RouterRig(TRACK);
    rig.shell('sysctl -w net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1');
    establish(rig);
    rig.send('s', down('A', 5001, 1001));
    rig.send('c', up('R', 900));
    expect(invalidCount(rig)).toBe(0);
  });

  it('E.78: a connection picked up in the middle', () => {
    const rig = new RouterRig(TRACK);
    rig.send('c', up('A', 1000, 5000));
    expect(short(rig)[0]).toMatch(/^tcp 6 (299|300) ESTABLISHED \[UNREPLIED\]$/);
    rig.shell('conntrack -F');
    rig.shell('sysctl -w net.netfilter.nf_conntrack_tcp_loose=0');
    rig.send('c', up('A', 1000, 5000));
    expect(rig.listed()).toEqual([]);
    expect(invalidCount(rig)).toBe(1);
  });

  it('be_liberal takes what is far out of the window', () => {
    for (const [liberal, invalid] of [
      [0, 1],
      [1, 0],
    ]) {
      const rig = new RouterRig(TRACK);
      rig.shell(`sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=${liberal}`);
      establish(rig);
      rig.send('c', up('A', 9_000_000, 5001));
      expect(invalidCount(rig)).toBe(invalid);
    }
  });

  it('timeouts are those of sysctl', () => {
    const rig = new RouterRig(TRACK);
    rig.shell('sysctl -w net.netfilter.nf_conntrack_tcp_timeout_syn_sent=7');
    rig.send('c', up('S', 1000));
    expect(short(rig)[0]).toMatch(/^tcp 6 [67] SYN_SENT/);
    rig.runTo(11);
    expect(rig.listed()).toEqual([]);
  });
});

describe('UDP and ICMP', () => {
  const udp = { protocol: 'udp' } as const;
  const back = {
    protocol: 'udp',
    src: '10.0.0.2',
    dst: '192.168.1.2',
    sport: 80,
    dport: 4000,
  } as const;

  it('E.79: unreplied, replied within 2 s, then a stream', () => {
    const rig = new RouterRig(TRACK);
    rig.send('c', udp);
    expect(short(rig)[0]).toMatch(/^udp 17 (29|30) \[UNREPLIED\]$/);
    rig.send('s', back);
    expect(short(rig)[0]).toMatch(/^udp 17 (29|30)$/);
    rig.runTo(6);
    rig.send('c', udp);
    expect(short(rig)[0]).toMatch(/^udp 17 (119|120) \[ASSURED\]$/);
  });

  it('E.80: an error is related and changes nothing; one about an unknown flow is invalid', () => {
    const rig = new RouterRig(`table inet t { counter inv { }
      counter rel { }
      chain c { type filter hook forward priority 0; ct state invalid counter name inv
        ct state related counter name rel
      }
    }`);
    rig.send('c', udp);
    const before = rig.listed();
    const error = (sport: number): Partial<Packet> => ({
      src: '10.0.0.2',
      dst: '192.168.1.2',
      protocol: 'icmp',
      flags: '3/3',
      sport: 0,
      seq: 0,
      payload: ipPacket({ ...udp, sport }),
    });
    rig.send('s', error(4000));
    expect(rig.listed()).toEqual(before);
    rig.send('s', error(4001));
    const [inv, rel] = rig.nf.nft.ruleset.tables[0].counters.map((c) => c.values[0]);
    expect([inv, rel]).toEqual([1, 1]);
  });

  it('E.81: a packet dropped in forward leaves no entry, and none unconfirmed', () => {
    const rig = new RouterRig(
      'table ip t { chain c { type filter hook forward priority 0; ct state new drop; } }',
    );
    rig.send('c', udp);
    expect(rig.listed()).toEqual([]);
    expect(rig.shell('conntrack -L unconfirmed')).toBe('');
  });
});

describe('a full table', () => {
  const open = (rig: RouterRig, port: number): number =>
    rig.send('c', { protocol: 'udp', sport: port }).length;

  it('E.82: unassured entries in reach give way, assured ones do not', () => {
    const rig = new RouterRig(TRACK);
    rig.shell('sysctl -w net.netfilter.nf_conntrack_max=600');
    for (let port = 1; port <= 600; port++) expect(open(rig, port)).toBe(1);
    // With so many of them some unassured entry is in eight buckets of 2048 nearly always.
    let passed = 0;
    for (let port = 1000; port < 1100; port++) passed += open(rig, port);
    expect(passed).toBeGreaterThan(60);
    const { early_drop, drop } = rig.nf.conntrack.stats;
    expect(early_drop).toBeGreaterThanOrEqual(passed);
    expect(drop).toBe(100 - passed);
    expect(rig.nf.conntrack.table.count).toBeLessThanOrEqual(600);

    rig.shell('conntrack -U -u ASSURED');
    expect(open(rig, 2000)).toBe(rig.nf.conntrack.table.count < 600 ? 1 : 0);
    rig.shell(`sysctl -w net.netfilter.nf_conntrack_max=${rig.nf.conntrack.table.count}`);
    rig.shell('conntrack -U -u ASSURED');
    for (let port = 3000; port < 3020; port++) expect(open(rig, port)).toBe(0);
  });
});

describe('zones', () => {
  const udp = { protocol: 'udp' } as const;

  it('E.83: the same key in zones 0 and 5 is two entries', () => {
    const rig = new RouterRig(`${TRACK}
table inet z { chain raw { type filter hook prerouting priority raw; meta mark 5 ct zone set 5
  }
}`);
    rig.send('c', udp);
    rig.rules(`add rule inet z raw ip saddr 192.168.1.2 ct zone set 5`);
    rig.send('c', udp);
    const lines = rig.listed();
    expect(lines).toHaveLength(2);
    expect(lines[0]).not.toContain('zone');
    expect(lines[1]).toMatch(/ mark=0 zone=5 use=1$/);
    expect(rig.listed('-w 5')).toHaveLength(1);
    expect(rig.shell('nft list chain inet z raw')).toContain('ip saddr 192.168.1.2 ct zone set 5');
  });

  it('of one direction only are shown with it', () => {
    const rig = new RouterRig(`${TRACK}
table inet z { chain raw { type filter hook prerouting priority raw
    iifname "rc" ct original zone set 7
  }
}`);
    rig.send('c', udp);
    expect(rig.listed()[0]).toContain('dport=80 zone-orig=7 [UNREPLIED] src=10.0.0.2');
    rig.send('s', { protocol: 'udp', src: '10.0.0.2', dst: '192.168.1.2', sport: 80, dport: 4000 });
    expect(rig.listed()).toHaveLength(1);
    expect(rig.listed()[0]).not.toContain('UNREPLIED');
  });
});

describe('clashes', () => {
  /** Two first packets of one conversation, both tracked before either is confirmed. */
  function race(protocol: 'udp' | 'tcp'): [RouterRig, number[]] {
    const rig = new RouterRig(TRACK);
    const dev = rig.stack.links.byName('rc');
    const skbs = [1, 2].map((id) => {
      const bytes = ipPacket({ protocol, flags: 'S' });
      const skb = new SkBuff(bytes);
      skb.lenBytes = bytes.length;
      skb.packetId = id;
      skb.poolIndex = 0;
      return skb;
    });
    for (const skb of skbs) expect(rig.stack.hooks.run(2, 0, skb, dev, null)).toBe(1);
    return [rig, skbs.map((skb) => rig.stack.hooks.run(2, 4, skb, null, dev))];
  }

  it('UDP joins the winner', () => {
    const [rig, verdicts] = race('udp');
    expect(verdicts).toEqual([1, 1]);
    expect(rig.listed()).toHaveLength(1);
    expect(rig.shell('conntrack -S')).toContain('clash_resolve=1 ');
    expect(rig.nf.conntrack.table.count).toBe(1);
  });

  it('TCP is dropped', () => {
    const [rig, verdicts] = race('tcp');
    expect(verdicts).toEqual([1, 0]);
    expect(rig.shell('conntrack -S')).toContain('insert_failed=1 drop=1 ');
    expect(rig.nf.conntrack.table.count).toBe(1);
  });
});

describe('other protocols', () => {
  it('SCTP goes through its states', () => {
    const rig = new RouterRig(TRACK);
    const chunk = (type: number): Uint8Array => Uint8Array.of(type, 0, 0, 4);
    const send = (side: 'c' | 's', type: number): string => {
      rig.send(side, {
        ...(side === 'c' ? {} : down('', 0)),
        protocol: 'sctp',
        payload: chunk(type),
      });
      return short(rig)[0].replace(/^sctp 132 \d+ /, '');
    };
    expect(send('c', 1)).toBe('COOKIE_WAIT [UNREPLIED]');
    expect(send('s', 2)).toBe('COOKIE_WAIT');
    expect(send('c', 10)).toBe('COOKIE_ECHOED');
    expect(send('s', 11)).toBe('ESTABLISHED [ASSURED]');
    expect(send('c', 0)).toBe('ESTABLISHED [ASSURED]');
    expect(send('c', 7)).toBe('SHUTDOWN_SENT [ASSURED]');
    expect(send('s', 8)).toBe('SHUTDOWN_ACK_SENT [ASSURED]');
    expect(send('c', 14)).toBe('CLOSED [ASSURED]');
  });

  it('GRE and unknown protocols by addresses, PPTP’s GRE by call id', () => {
    const rig = new RouterRig(TRACK);
    rig.send('c', { protocol: 'gre', payload: Uint8Array.of(0, 0, 8, 0, 1, 2, 3, 4) });
    rig.send('c', { protocol: 'gre', payload: Uint8Array.of(0x30, 1, 8, 0, 0, 4, 0x12, 0x34) });
    rig.send('c', { protocol: 'other', payload: Uint8Array.of(1, 2, 3, 4) });
    const lines = rig.listed();
    expect(lines[0]).toMatch(
      /^gre {6}47 (29|30) src=192.168.1.2 dst=10.0.0.2 srckey=0x0 dstkey=0x0 /,
    );
    expect(lines[1]).toContain('srckey=0x0 dstkey=0x1234 [UNREPLIED]');
    expect(lines[2]).toMatch(/^unknown {2}99 (599|600) src=192.168.1.2 dst=10.0.0.2 \[UNREPLIED\]/);
    const gre = { src: '10.0.0.2', dst: '192.168.1.2', protocol: 'gre' } as const;
    rig.send('s', { ...gre, payload: Uint8Array.of(0, 0, 8, 0, 1, 2, 3, 4) });
    rig.send('c', { protocol: 'gre', payload: Uint8Array.of(0, 0, 8, 0, 1, 2, 3, 4) });
    expect(short(rig, '-p gre')[0]).toMatch(/^gre 47 (179|180) srckey=0x0 .* \[ASSURED\]$/);
  });

  it('labels and timestamps', () => {
    const rig = new RouterRig(`table inet t { chain c { type filter hook forward priority 0
      ct state new ct label set 3 ct mark set 0x2a
    }
}`);
    rig.shell('sysctl -w net.netfilter.nf_conntrack_timestamp=1');
    rig.send('c', { protocol: 'udp' });
    rig.runTo(8);
    expect(rig.listed('-o labels,ktimestamp')[0]).toMatch(
      /mark=42 delta-time=5 \[start=Thu Jan {2}1 00:00:03 1970\] use=1 labels=3$/,
    );
    rig.shell('conntrack -U --label-add 7,100');
    expect(rig.listed('-l 100 -o labels')[0]).toMatch(/labels=3,7,100$/);
    expect(rig.listed('-l 99')).toEqual([]);
  });
});
