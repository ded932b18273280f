// A scenario on the intel-82599 profile: its limits are the card's, filters steer and drop, forwarding in hardware is refused as the
// kernel refuses it over a driver without flow offload. The other cards have their own sizes.
import { describe, expect, it } from 'vitest';
import { loadDevice } from '../../../src/node/device-files.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { loadScenario } from '../../../src/scenario/load.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { frame } from '../../hw/harness.ts';
import type { FrameSpec } from '../../hw/harness.ts';

function machine(name = 'intel-82599'): {
  bed: Testbed;
  run: (line: string, stdin?: string) => string;
} {
  const text = `device: { profile: ${name} }\nhost: { cores: 4 }\nports: [{ name: p0 }, { name: p1 }]\n`;
  const bed = Testbed.ofScenario(loadScenario(text, 'test.yaml'), 1, loadDevice(name));
  const run = (line: string, stdin?: string): string => {
    const { stdout, stderr, status } = bed.runWords(tokenize(line)[0], stdin);
    return `${stdout}${stderr}${status === 0 ? '' : `[${status}]`}`;
  };
  return { bed, run };
}

describe('a machine with an 82599', () => {
  it('has the limits of the card', () => {
    const { bed, run } = machine();
    expect(run('ethtool -g p0').match(/RX:\t\t([0-9]+)/)?.[1]).toBe('4096');
    expect(run('ethtool -G p0 rx 4104')).toContain('requested ring size exceeds maximum');
    expect(run('ethtool -l p0')).toContain('Combined:\t62');
    expect(run('ethtool p0')).toContain('Speed: 10000Mb/s');
    expect(run('ethtool -x p0').match(/^ {2,4}[0-9]+: /gm)).toHaveLength(16); // 128 entries
    expect(run('ethtool -X p0 hfunc xor')).toContain('Operation not supported');
    expect(run('ethtool -X p0 context new')).toContain('No space left on device');
    expect(bed.nic.functions[0].rxRings).toHaveLength(128);
    // PCIe 2.0 x8, TLPs of 256 bytes: 28.676 Gb/s (hw 1.1) for the 64-byte write with its 24 bytes of header.
    const { pcie } = bed.nic.ctx;
    const startPs = bed.nowPs;
    pcie.write(startPs, 64, 0);
    expect((pcie.up.freePs - startPs) / 1e3).toBeCloseTo((88 * 8) / 28.676, 2);
  });

  it('steers and drops by Flow Director, and takes no flowtable and no tc filter into hardware', () => {
    const { bed, run } = machine();
    expect(run('ethtool -K p0 ntuple on')).toBe('');
    bed.advance(1e12);
    expect(run('ethtool -N p0 flow-type tcp4 dst-port 443 action 2')).toContain('ID 2045');
    expect(run('ethtool -N p0 flow-type tcp4 dst-port 80 action -1')).toContain('ID 2044');
    bed.advance(1e12);
    const queues: number[] = [];
    bed.onHostReceive = (skb) => queues.push(skb.rxQueue - 1);
    const send = (spec: FrameSpec): void => {
      const bytes = frame({ proto: 6, dst: bed.devices[0].mac, ...spec });
      bed.inject(0, bed.nowPs, bytes);
      bed.advance(1e9);
    };
    for (let i = 0; i < 16; i++) send({ srcIp: 0x0a000001 + i, sport: 1000 + i, dport: 443 });
    expect(queues).toEqual(new Array(16).fill(2));
    for (let i = 0; i < 4; i++) send({ srcIp: 0x0a000001 + i, sport: 1000 + i, dport: 80 });
    expect(queues).toHaveLength(16);
    for (let i = 0; i < 64; i++) send({ srcIp: 0x0a000001 + i, sport: 1000 + i, dport: 22 });
    expect(new Set(queues.slice(16)).size).toBe(4); // RSS

    const table = (flags: string): string =>
      `table inet t { flowtable ft { hook ingress priority 0; devices = { p0, p1 }; ${flags} } }\n`;
    expect(run('nft -f -', table('flags offload;'))).toMatch(/Operation not supported[^]*\[1\]$/);
    expect(run('nft -f -', table(''))).toBe('');
    run('tc qdisc add dev p0 clsact');
    const filter = 'tc filter add dev p0 ingress protocol ip flower';
    expect(run(`${filter} skip_sw dst_ip 1.2.3.4 action drop`)).toContain('no table for chain 0');
    expect(run(`${filter} dst_ip 1.2.3.4 action drop`)).toBe('');
    bed.checkInvariants();
  });

  it('has host memory for all its rings at their largest', () => {
    const { run } = machine();
    expect(run('ethtool -L p0 combined 62') + run('ethtool -L p1 combined 62')).toBe('');
    for (const port of ['p0', 'p1']) expect(run(`ethtool -G ${port} rx 4096 tx 4096`)).toBe('');
  });
});

describe('machines with other cards', () => {
  /** Current and largest RX and TX rings. */
  function rings(run: (line: string) => string): number[] {
    const text = run('ethtool -g p0');
    return [...text.matchAll(/^(?:RX|TX):\t\t([0-9]+)$/gm)].map(([, slots]) => Number(slots));
  }

  it.each([
    // Largest and default rings, entries of the indirection table, Mb/s (hw 2.2, 4.1); what 1,000 and 10 descriptors become.
    ['intel-e810', [8160, 8160, 2048, 256], 2048, 100000, [1024, 64]],
    ['mellanox-cx5', [8192, 8192, 1024, 1024], 256, 100000, [1024, 64]],
    ['generic-nic', [4096, 4096, 512, 512], 128, 10000, [1000, 64]],
  ])('%s has its own sizes', (name, sizes, entries, mbps, [ofThousand, ofTen]) => {
    const { run } = machine(name);
    expect(rings(run)).toEqual(sizes);
    expect(run('ethtool -x p0').match(/^ {1,4}[0-9]+: /gm)).toHaveLength(entries / 8);
    expect(run('ethtool p0')).toContain(`Speed: ${mbps}Mb/s`);
    expect(run(`ethtool -G p0 rx ${sizes[0] + 1}`)).toContain('exceeds maximum');
    for (const port of ['p0', 'p1']) expect(run(`ethtool -G ${port} rx 1000 tx 10`)).toBe('');
    expect(rings(run).slice(2)).toEqual([ofThousand, ofTen]);
  });
});
