// Link settings and pause parameters as a user types them, and what they do to traffic.

import { describe, expect, it } from 'vitest';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

function run(bed: Testbed, line: string): { status: number; stdout: string; stderr: string } {
  return bed.runWords(tokenize(line)[0] ?? []);
}

/** Value of one counter of `ethtool -S`. */
function counter(bed: Testbed, dev: string, name: string): number {
  const match = new RegExp(`^ +${name}: ([0-9]+)$`, 'm').exec(run(bed, `ethtool -S ${dev}`).stdout);
  return match === null ? -1 : Number(match[1]);
}

describe('ethtool DEV', () => {
  it.each([1e9, 2.5e9, 10e9, 25e9, 50e9, 100e9, 200e9, 400e9])('tells the speed: %d', (bps) => {
    const bed = new Testbed({ device: { lineRateBps: bps } });
    const said = run(bed, 'ethtool p0').stdout;
    expect(said).toContain(`\tSpeed: ${bps / 1e6}Mb/s\n\tDuplex: Full\n`);
    expect(said).toMatch(/^Settings for p0:\n[\s\S]*\tLink detected: yes\n$/);
    bed.nic.setLink(0, false);
    bed.advance(1e9);
    expect(run(bed, 'ethtool p0').stdout).toContain('\tSpeed: Unknown!\n');
  });
});

describe('ethtool -a and -A', () => {
  it('shows and sets (text as recorded from ethtool 6.1)', () => {
    const bed = new Testbed();
    expect(run(bed, 'ethtool -a p0').stdout).toBe(
      'Pause parameters for p0:\nAutonegotiate:\toff\nRX:\t\toff\nTX:\t\toff\n\n',
    );
    expect(run(bed, 'ethtool -A p0 rx on tx on').status).toBe(0);
    expect(run(bed, 'ethtool -a p0').stdout).toContain('RX:\t\ton\nTX:\t\ton\n');
    expect(run(bed, 'ethtool -A p0 rx maybe').status).toBe(1);
    expect(run(bed, 'ethtool -A p0 autoneg on')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Invalid argument') as string,
    });
    expect(run(bed, 'ethtool -a lo').status).toBe(1);
  });

  it.each([
    // IXGBE_DV and IXGBE_LOW_DV by hand: 176,710 and 77,378 bits are 22 and 10 KiB; with frames of 9,018 bytes 383,110 and 317,378.
    [1500, 512 - 22, 10],
    [9000, 512 - 47, 39],
  ])('writes the thresholds of ixgbe at MTU %i', (mtu, highKib, lowKib) => {
    const bed = new Testbed();
    run(bed, `ip link set dev p0 mtu ${mtu}`);
    run(bed, 'ethtool -A p0 tx on');
    const { bar0 } = bed.nic.functions[0];
    expect(bar0.read32(0x3260)).toBe((0x80000000 | (highKib << 10)) >>> 0); // FCRTH
    expect(bar0.read32(0x3220)).toBe((0x80000000 | (lowKib << 10)) >>> 0); // FCRTL
    expect(bar0.read32(0x3200)).toBe(0xffffffff); // FCTTV
    expect(bar0.read32(0x32a0)).toBe(0x7fff); // FCRTV
    run(bed, 'ethtool -A p0 tx off rx on');
    expect([bar0.read32(0x3260), bar0.read32(0x3220)]).toEqual([512 * 1024 - 24576, 0]);
  });

  /** 64-byte frames at line rate for 2 ms to a host that forwards nothing: one core, two queues. */
  function overload(bed: Testbed): void {
    const frame = new Uint8Array(60).fill(7, 14);
    frame.set([...bed.devices[0].mac, 2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    const startPs = bed.nowPs;
    for (let n = 0; n < 29_000; n++) bed.inject(0, startPs + n * 67_200, frame);
  }

  it('sends XOFF when the host is too slow, in place of dropping at the ring', () => {
    const without = new Testbed({ cores: 1, device: { queues: 2 } });
    overload(without);
    expect(counter(without, 'p0', 'tx_flow_control_xoff')).toBe(0);
    const bed = new Testbed({ cores: 1, device: { queues: 2, rxPacketBufferBytes: 128 * 1024 } });
    run(bed, 'ethtool -A p0 tx on');
    const sent: string[] = [];
    bed.onFrame = ({ bytes, at, portIndex }) =>
      sent.push(`${portIndex} ${bytes[at + 12]}.${bytes[at + 13]} ${bytes[at + 16]}`);
    overload(bed);
    bed.advance(20e9);
    expect(sent.slice(0, 2)).toEqual(['0 136.8 255', expect.stringMatching(/^0 136.8 /) as string]);
    expect(sent.at(-1)).toBe('0 136.8 0'); // XON at the end
    expect(counter(bed, 'p0', 'tx_flow_control_xoff')).toBeGreaterThan(0);
    expect(counter(bed, 'p0', 'tx_flow_control_xon')).toBeGreaterThan(0);
    // Nobody obeyed: what did not fit was missed at the buffer, not dropped at the ring.
    expect(counter(bed, 'p0', 'rx_missed_errors')).toBeGreaterThan(0);
    expect(counter(bed, 'p0', 'rx_no_dma_resources')).toBe(0);
    bed.checkInvariants();
  });

  it('obeys XOFF: forwarded packets leave after the pause', () => {
    const bed = new Testbed();
    for (const line of [
      'sysctl -w net.ipv4.ip_forward=1',
      'ip addr add 10.0.1.1/24 dev p0',
      'ip addr add 10.0.2.1/24 dev p1',
      'ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:99 dev p1 nud permanent',
      'ethtool -A p1 rx on',
    ])
      expect(run(bed, line).status).toBe(0);
    const pause = new Uint8Array(60);
    pause.set([0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0x08, 0, 1, 0x27, 0x10]);
    bed.inject(1, bed.nowPs, pause); // 10,000 quanta: 512 us
    const ip = new Uint8Array(60);
    ip.set([...bed.devices[0].mac, 2, 0, 0, 0, 0, 9, 8, 0]);
    ip.set([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0x23, 0xbc, 10, 0, 1, 2, 10, 0, 2, 2], 14);
    const times: number[] = [];
    bed.onFrame = ({ portIndex, startPs }) => {
      if (portIndex === 1) times.push(startPs);
    };
    const startPs = bed.nowPs;
    bed.inject(0, startPs, ip);
    bed.advance(400e6);
    expect(times).toEqual([]);
    bed.advance(400e6);
    expect(times).toHaveLength(1);
    expect(times[0] - startPs).toBeGreaterThan(512e6);
    expect(counter(bed, 'p1', 'rx_flow_control_xoff')).toBe(1);
    bed.checkInvariants();
  });
});
