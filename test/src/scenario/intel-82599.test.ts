// A scenario on the intel-82599 profile: its limits are the card's, filters steer and drop, forwarding in hardware is refused as the
// kernel refuses it over a driver without flow offload.
import { describe, expect, it } from 'vitest';
import { loadDevice } from '../../../src/node/device-files.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';
import { loadScenario } from '../../../src/scenario/load.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { frame } from '../../hw/harness.ts';
import type { FrameSpec } from '../../hw/harness.ts';

const SCENARIO =
  'device: { profile: intel-82599 }\nhost: { cores: 4 }\nports: [{ name: p0 }, { name: p1 }]\n';

function machine(): { bed: Testbed; run: (line: string, stdin?: string) => string } {
  const scenario = loadScenario(SCENARIO, 'test.yaml');
  const bed = Testbed.ofScenario(scenario, 1, loadDevice('intel-82599'));
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

  it('wants as much host memory as the queues that the driver can have', () => {
    expect(machine().bed.memory.main.bytes.length).toBe(2 * 64 * 512 * 4096);
  });
});
