// Helpers over the whole stack: an FTP client behind masquerade in active and passive mode, a server behind destination NAT, TFTP;
// what is expected, what the text says behind NAT, sequence numbers of what follows (spec C.6, C.7, E.36).

import { describe, expect, it } from 'vitest';
import type { Packet } from '../../../support/packets.ts';
import { RouterRig } from '../../../support/router-rig.ts';
import type { Seen } from '../../../support/router-rig.ts';

const rules = (nat: string): string => `table inet t {
	ct helper ftp-std {
		type "ftp" protocol tcp
		l3proto inet
	}

	ct helper tftp-std {
		type "tftp" protocol udp
		l3proto ip
	}

	flowtable f {
		hook ingress priority filter
		devices = { rc, rs }
	}

	chain help {
		type filter hook prerouting priority filter; policy accept;
		tcp dport 21 ct helper set "ftp-std"
		udp dport 69 ct helper set "tftp-std"
	}

	chain forwarded {
		type filter hook forward priority filter; policy accept;
		ct state related counter packets 0 bytes 0
		ct state established flow add @f
	}
${nat}}
`;
const MASQUERADE = `
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "rs" masquerade
	}
`;

const text = (words: string): Uint8Array => Uint8Array.from(words, (c) => c.charCodeAt(0));
const said = (packet: Seen): string => String.fromCharCode(...packet.payload);

/** A control connection: each side says lines, acknowledged by the next. */
class Control {
  readonly rig: RouterRig;
  private readonly server: string;
  private readonly outside: { src: string; dst: string; sport: number; dport: number };
  private seq = { c: 1001, s: 5001 };
  /** Numbers that each side has seen from the other. */
  heard = { c: 5001, s: 1001 };

  constructor(rig: RouterRig, server = '10.0.0.2') {
    this.rig = rig;
    this.server = server;
    const [syn] = rig.send('c', { dst: server, dport: 21, flags: 'S', seq: 1000 });
    this.outside = { src: syn.dst, dst: syn.src, sport: syn.dport, dport: syn.sport };
    rig.send('s', { ...this.outside, flags: 'SA', seq: 5000, ack: 1001 });
    rig.send('c', { dst: server, dport: 21, flags: 'A', seq: 1001, ack: 5001 });
  }

  say(side: 'c' | 's', words: string): Seen | undefined {
    const packet: Partial<Packet> = {
      ...(side === 'c' ? { dst: this.server, dport: 21 } : this.outside),
      flags: 'PA',
      seq: this.seq[side],
      ack: this.heard[side],
      payload: text(words),
    };
    const [out] = this.rig.send(side, packet);
    if (out === undefined) return undefined;
    expect(out.faults).toEqual([]);
    this.seq[side] += words.length;
    this.heard[side === 'c' ? 's' : 'c'] = out.seq + out.payload.length;
    return out;
  }

  greet(): void {
    this.say('s', '220 ready\r\n');
    this.say('c', 'USER me\r\n');
    this.say('s', '230 in\r\n');
  }
}

describe('FTP', () => {
  it('without NAT: the data connection of PASV and PORT is related, and expected once', () => {
    const rig = new RouterRig(rules(''));
    const control = new Control(rig);
    control.greet();
    const reply = control.say('s', '227 Entering Passive Mode (10,0,0,2,156,64)\r\n');
    expect(reply && said(reply)).toBe('227 Entering Passive Mode (10,0,0,2,156,64)\r\n');
    const listing = rig.command('conntrack -L expect');
    expect(listing.stdout).toBe(
      '300 proto=6 src=192.168.1.2 dst=10.0.0.2 sport=0 dport=40000 ' +
        'mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 ' +
        'master-src=192.168.1.2 master-dst=10.0.0.2 sport=4000 dport=21 class=0 helper=ftp\n',
    );
    expect(listing.stderr).toBe(
      'conntrack v1.4.7 (conntrack-tools): 1 expectations have been shown.\n',
    );
    rig.send('c', { flags: 'S', seq: 9000, sport: 4001, dport: 40000 });
    expect(rig.command('conntrack -L expect').stdout).toBe('');
    expect(rig.shell('nft list chain inet t forwarded')).toContain('related counter packets 1 ');
    control.say('c', 'PORT 192,168,1,2,195,80\r\n');
    rig.send('s', { src: '10.0.0.2', dst: '192.168.1.2', sport: 20, dport: 50000, flags: 'S' });
    expect(rig.shell('nft list chain inet t forwarded')).toContain('related counter packets 2 ');
    expect(rig.listed().filter((line) => line.includes('helper=ftp'))).toHaveLength(1);
  });

  it('E.36: a connection with a helper is never offloaded', () => {
    const rig = new RouterRig(rules(''));
    new Control(rig).greet();
    expect(rig.listed()[0]).not.toContain('OFFLOAD');
    expect(rig.nf.flowtables.list()[0].counters.refusedAdmission.helper).toBeGreaterThan(0);
  });

  it('active mode behind masquerade: the text names the router, later numbers are moved', () => {
    const rig = new RouterRig(rules(MASQUERADE));
    const control = new Control(rig);
    control.greet();
    const port = control.say('c', 'PORT 192,168,1,2,195,80\r\n');
    expect(port && said(port)).toBe('PORT 10,0,0,1,195,80\r\n');
    const shorter = 'PORT 192,168,1,2,195,80\r\n'.length - 'PORT 10,0,0,1,195,80\r\n'.length;
    const ok = control.say('s', '200 ok\r\n');
    // The client must not be told that less arrived than it sent.
    expect(ok?.ack).toBe(1001 + 'USER me\r\n'.length + 'PORT 192,168,1,2,195,80\r\n'.length);
    const list = control.say('c', 'LIST\r\n');
    expect(list?.seq).toBe((ok?.ack ?? 0) - shorter);
    const [data] = rig.send('s', {
      src: '10.0.0.2',
      dst: '10.0.0.1',
      sport: 20,
      dport: 50000,
      flags: 'S',
    });
    expect([data.port, data.dst, data.dport, data.src]).toEqual([
      'c',
      '192.168.1.2',
      50000,
      '10.0.0.2',
    ]);
    expect(rig.listed('-p tcp').some((l) => l.includes('[UNREPLIED] src=192.168.1.2'))).toBe(true);
    // What follows is still inside the window of the tracker.
    control.say('s', '150 here\r\n');
    expect(rig.shell('conntrack -S')).toContain(' invalid=0 ');
  });

  it('passive mode of a server behind destination NAT, EPSV and EPRT', () => {
    const rig = new RouterRig(
      rules(`
	chain pre {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr 10.9.9.9 dnat ip to 10.0.0.2
	}
`),
    );
    const control = new Control(rig, '10.9.9.9');
    control.greet();
    const pasv = control.say('s', '227 Entering Passive Mode (10,0,0,2,156,64).\r\n');
    expect(pasv && said(pasv)).toBe('227 Entering Passive Mode (10,9,9,9,156,64).\r\n');
    const [data] = rig.send('c', { dst: '10.9.9.9', dport: 40000, sport: 4001, flags: 'S' });
    expect([data.dst, data.dport]).toEqual(['10.0.0.2', 40000]);
    const epsv = control.say('s', '229 Extended (|||40001|)\r\n');
    expect(epsv && said(epsv)).toBe('229 Extended (|||40001|)\r\n');
    const [more] = rig.send('c', { dst: '10.9.9.9', dport: 40001, sport: 4002, flags: 'S' });
    expect(more.dst).toBe('10.0.0.2');
    control.say('c', 'EPRT |1|192.168.1.2|50001|\r\n');
    expect(rig.command('conntrack -L expect').stdout).toContain(
      'dst=192.168.1.2 sport=0 dport=50001',
    );
  });

  it('works over IPv6', () => {
    const rig = new RouterRig(rules(MASQUERADE));
    const ends = { src: 'fd01::2', dst: 'fd02::2', sport: 4000, dport: 21 };
    const back = { src: 'fd02::2', dst: 'fd02::1', sport: 21, dport: 4000 };
    rig.send('c', { ...ends, flags: 'S', seq: 1000 });
    rig.send('s', { ...back, flags: 'SA', seq: 5000, ack: 1001 });
    rig.send('c', { ...ends, flags: 'A', seq: 1001, ack: 5001 });
    rig.send('c', { ...ends, flags: 'PA', seq: 1001, ack: 5001, payload: text('USER me\r\n') });
    const [out] = rig.send('c', {
      ...ends,
      flags: 'PA',
      seq: 1010,
      ack: 5001,
      payload: text('EPRT |2|fd01::2|50001|\r\n'),
    });
    expect(said(out)).toBe('EPRT |2|fd02::1|50001|\r\n');
    expect(out.faults).toEqual([]);
  });

  it('does not believe a foreign address, and lets a cut line come again', () => {
    const rig = new RouterRig(rules(''));
    const control = new Control(rig);
    control.greet();
    control.say('c', 'PORT 10,0,0,9,195,80\r\n');
    expect(rig.shell('conntrack -C expect')).toBe('0\n');
    expect(control.say('c', 'PORT 192,168,1,2,19')).toBeUndefined();
  });
});

describe('TFTP', () => {
  it('behind masquerade: the server answers from a port of its own', () => {
    const rig = new RouterRig(rules(MASQUERADE));
    const request = { protocol: 'udp', dport: 69, payload: text('\0\x01file\0octet\0') } as const;
    rig.send('c', { protocol: 'udp', src: '192.168.1.3' });
    const [out] = rig.send('c', { ...request, sport: 4000 });
    const [answer] = rig.send('s', {
      protocol: 'udp',
      src: '10.0.0.2',
      dst: '10.0.0.1',
      sport: 55555,
      dport: out.sport,
      payload: text('\0\x03\0\x01data'),
    });
    expect([answer.dst, answer.sport, answer.dport]).toEqual(['192.168.1.2', 55555, 4000]);
    expect(answer.faults).toEqual([]);
  });
});

describe('the object', () => {
  it('lists as it was written, and names what it does not know', () => {
    const rig = new RouterRig(rules(MASQUERADE));
    expect(rig.shell('nft list ruleset')).toContain(rules('').split('\n').slice(0, 9).join('\n'));
    expect(rig.shell('nft -j list ct helpers')).toContain(
      '{"ct helper": {"family": "inet", "name": "ftp-std", "table": "t", "handle": 4, "type": "ftp", "protocol": "tcp", "l3proto": "inet"}}',
    );
    const error = (line: string): string => rig.command(line).stderr;
    expect(error('nft add ct helper inet t x "{ type \\"irc\\" protocol tcp; }"')).toContain(
      'No such file',
    );
    expect(error('nft add rule inet t help tcp dport 22 ct helper set nope')).toContain(
      'No such file',
    );
    expect(error('nft delete ct helper inet t ftp-std')).toContain('busy');
  });
});
