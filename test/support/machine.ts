// A whole machine for tests (ports, reference driver, stack, netfilter): commands as typed, IP packets in, frames out as text.

import { PS_PER_MS } from '../../hw/time/units.ts';
import { tokenize } from '../../src/scenario/commands/command.ts';
import { Testbed } from '../../src/scenario/testbed.ts';
import type { TestbedOptions } from '../../src/scenario/testbed.ts';
import { frameOf, ipPacket } from './packets.ts';
import type { Packet } from './packets.ts';
import { bytesOf, hex } from './stack-rig.ts';

const HOST_MAC = '0200000000aa';

/** MAC of port `index` of a machine, without colons. */
export function portMac(index: number): string {
  return `0200000001${(index + 1).toString(16).padStart(2, '0')}`;
}

export class Machine {
  readonly testbed: Testbed;
  private readonly out: string[] = [];

  constructor(ports: readonly string[], options: TestbedOptions = {}) {
    this.testbed = new Testbed({
      seed: 7,
      // As a veth or tap would: a frame leaves as long as it is.
      ...options,
      device: { txPadReset: false, ...options.device },
      ports: ports.map((name, i) => ({ name, mac: portMac(i).replace(/..(?=.)/g, '$&:') })),
    });
    this.testbed.onFrame = (f) =>
      this.out.push(`${ports[f.portIndex]} ${hex(f.bytes.subarray(f.at, f.at + f.lenBytes))}`);
  }

  /** Commands that must succeed; what they printed. */
  run(text: string, stdin?: string): string {
    let out = '';
    for (const words of tokenize(text)) {
      const result = this.testbed.runWords(words, stdin);
      if (result.status !== 0) throw new Error(`${words.join(' ')}: ${result.stderr}`);
      out += result.stdout;
    }
    return out;
  }

  /** Commands of which each may fail; what the last one printed on either stream. */
  told(text: string): string {
    let out = '';
    for (const words of tokenize(text)) {
      const { stdout, stderr } = this.testbed.runWords(words);
      out = stdout + stderr;
    }
    return out;
  }

  pass(ms: number): void {
    this.testbed.advance(ms * PS_PER_MS);
  }

  /** A frame arrives on a port; frames that left within `ms`, as `port hex`. */
  frame(port: number, frameHex: string, ms = 20): string[] {
    this.testbed.inject(port, this.testbed.nowPs, bytesOf(frameHex));
    this.pass(ms);
    return this.take();
  }

  /** An IP packet arrives on a port, addressed to `mac` (default the port's own). */
  send(port: number, packet: Partial<Packet>, ms = 20, mac = portMac(port)): string[] {
    return this.frame(port, frameOf(ipPacket(packet), mac, HOST_MAC), ms);
  }

  /** Frames that have left since the last call. */
  take(): string[] {
    return this.out.splice(0);
  }
}
