// A machine with one datapath for tests: ports p0, p1, ... as datapath ports 1, 2, ..., commands as typed, frames in and out.

import { expect } from 'vitest';
import { PS_PER_MS } from '../../hw/time/units.ts';
import { Testbed } from '../../src/scenario/testbed.ts';
import { attachDatapaths } from '../../src/stack/openvswitch/attach.ts';
import type { Datapath } from '../../src/stack/openvswitch/datapath.ts';

export class DatapathRig {
  readonly testbed: Testbed;
  readonly datapath: Datapath;
  /** Frames that left, with the datapath port. */
  readonly out: { port: number; frame: Uint8Array }[] = [];
  private sent = 0;

  constructor(ports = 3) {
    const names = Array.from({ length: ports }, (_, i) => `p${i}`);
    this.testbed = new Testbed({
      device: { txPadReset: false },
      ports: names.map((name) => ({ name, promisc: true })),
    });
    this.testbed.onFrame = ({ portIndex, bytes, at, lenBytes }) => {
      this.out.push({ port: portIndex + 1, frame: bytes.slice(at, at + lenBytes) });
    };
    this.must(['ovs-dpctl', 'add-dp', 'dp0']);
    names.forEach((name, i) => {
      this.must(['ovs-dpctl', 'add-if', 'dp0', `${name},port_no=${i + 1}`]);
    });
    const datapath = attachDatapaths(this.testbed.stack)?.get('dp0') ?? null;
    if (datapath === null) throw new Error('no datapath');
    this.datapath = datapath;
  }

  run(words: readonly string[]): { status: number; stdout: string; stderr: string } {
    return this.testbed.runWords([...words]);
  }

  must(words: readonly string[]): string {
    const result = this.run(words);
    expect(result.status, `${words.join(' ')}: ${result.stderr}`).toBe(0);
    return result.stdout;
  }

  addFlow(key: string, actions: string): void {
    this.must(['ovs-dpctl', 'add-flow', 'dp0', key, actions]);
  }

  /** A frame into a port; what it made come out, after 10 ms. */
  send(port: number, frame: Uint8Array): { port: number; frame: Uint8Array }[] {
    const { testbed } = this;
    const before = this.out.length;
    testbed.inject(port - 1, testbed.nowPs, frame, 0, frame.length, ++this.sent);
    testbed.advance(10 * PS_PER_MS);
    return this.out.slice(before);
  }
}

/** An IP packet in an Ethernet frame. */
export function etherFrame(
  packet: Uint8Array,
  etherType = packet[0] >> 4 === 6 ? 0x86dd : 0x0800,
): Uint8Array {
  const frame = new Uint8Array(14 + packet.length);
  frame.set([2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, etherType >> 8, etherType & 255]);
  frame.set(packet, 14);
  return frame;
}
