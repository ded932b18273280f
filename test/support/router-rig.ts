// A whole router over plain devices: IP stack and netfilter, client side `c` (192.168.1.0/24, fd01::/64) and server side `s`
// (10.0.0.0/24, fd02::/64), neighbours known. Packets go in and come out as IP packets; commands are those of the shell.

import type { CommandResult } from '../../src/scenario/commands/command.ts';
import { tokenize } from '../../src/scenario/commands/command.ts';
import { runCommand } from '../../src/scenario/commands/table.ts';
import { attachNetfilter } from '../../src/stack/netfilter/index.ts';
import type { Netfilter } from '../../src/stack/netfilter/index.ts';
import { frameOf, ipPacket, readPacket } from './packets.ts';
import type { Packet } from './packets.ts';
import { StackRig, bytesOf } from './stack-rig.ts';

const MACS = { c: '020000000101', s: '020000000201' } as const;
const colons = (mac: string): string => mac.replace(/..(?=.)/g, '$&:');

/** A packet that left, and where. */
export type Seen = ReturnType<typeof readPacket> & { port: string };

export class RouterRig extends StackRig {
  readonly nf: Netfilter;
  /** Lines that commands in the background printed. */
  readonly console: string[] = [];

  constructor(rules = '', seed = 1) {
    super();
    this.nf = attachNetfilter(this.stack, seed);
    this.addPort('c', 'rc', colons(MACS.c));
    this.addPort('s', 'rs', colons(MACS.s));
    this.shell('sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
    this.shell('sysctl -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0');
    this.shell('ip addr add 192.168.1.1/24 dev rc; ip addr add 10.0.0.1/24 dev rs');
    this.shell('ip -6 addr add fd01::1/64 dev rc nodad; ip -6 addr add fd02::1/64 dev rs nodad');
    for (let host = 2; host < 10; host++) {
      const tail = `lladdr 02:00:00:00:00:0${host}`;
      this.shell(`ip neigh add 192.168.1.${host} ${tail} dev rc nud permanent`);
      this.shell(`ip neigh add 10.0.0.${host} ${tail} dev rs nud permanent`);
      this.shell(`ip neigh add fd01::${host} ${tail} dev rc nud permanent`);
      this.shell(`ip neigh add fd02::${host} ${tail} dev rs nud permanent`);
    }
    if (rules !== '') this.rules(rules);
    this.runTo(3);
    this.take();
  }

  /** Loads a rule set that must be accepted. */
  rules(text: string): void {
    const error = this.nf.nft.load(text);
    if (error !== '') throw new Error(error);
  }

  /** Runs commands that must succeed; the standard output. */
  shell(text: string): string {
    let out = '';
    for (const words of tokenize(text)) {
      const result = this.command(words);
      if (result.status !== 0) throw new Error(`${words.join(' ')}: ${result.stderr}`);
      out += result.stdout;
    }
    return out;
  }

  /** Runs one command. */
  command(words: string[] | string): CommandResult {
    const list = typeof words === 'string' ? tokenize(words)[0] : words;
    return runCommand(list, { stack: this.stack, kernel: this.kernel, readText: () => null });
  }

  /** A packet arrives on a side; what left because of it. */
  send(port: 'c' | 's', packet: Partial<Packet> | Uint8Array): Seen[] {
    const bytes = packet instanceof Uint8Array ? packet : ipPacket(packet);
    this.receive(port, frameOf(bytes, MACS[port], '020000000002'));
    this.scheduler.runFor(0);
    return this.take().map(({ port: out, frame }) => ({
      ...readPacket(bytesOf(frame.slice(28))),
      port: out,
    }));
  }

  /** Lines of `conntrack -L` with options. */
  listed(options = ''): string[] {
    return this.shell(`conntrack -L ${options}`)
      .split('\n')
      .filter((line) => line !== '');
  }
}
