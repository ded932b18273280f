// bridge(8) at the prompt against what the real one printed and returned on a bridge without VLAN filtering
// (fixtures/recordings/bridge), and what its entries do on one that filters. Of listings the lines of devices' own filters (`self`) are
// left out, which the model does not keep, and their order.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StackRig } from '../../support/stack-rig.ts';

/** Lines of a listing, or members of a JSON one, without `self` ones, in one order. */
function plain(told: string): string {
  const rows = told.startsWith('[{')
    ? (JSON.parse(told) as unknown[]).map((row) => JSON.stringify(row))
    : told.split('\n').filter((line) => line !== '');
  return rows
    .filter((row) => !/[" ]self[" ]/.test(row))
    .sort()
    .join('\n');
}

describe('bridge', () => {
  const url = new URL('../../../fixtures/recordings/bridge/bridge.commands.txt', import.meta.url);
  const rig = new StackRig();
  const parts = readFileSync(url, 'utf8').split(/^\$ /m).slice(1);
  const rows = parts.map((part) => {
    const end = part.indexOf('\n');
    return [part.slice(0, end), part.slice(end + 1)] as const;
  });
  it.each(rows)('%s', (command, recorded) => {
    const { status, stdout, stderr } = rig.run(command);
    const told = stdout + stderr + (status === 0 ? '' : `[rc ${status}]\n`);
    expect(plain(told)).toBe(plain(recorded));
  });
});

describe('entries by hand on a bridge that filters', () => {
  const rig = new StackRig();
  const told = (command: string): string => {
    const { stdout, stderr } = rig.run(command);
    return stdout + stderr;
  };
  const entries = (): string[] =>
    told('bridge fdb show br br0')
      .split('\n')
      .filter((line) => line.startsWith('02:00:00:00:00:77'));

  it('stand in every VLAN of the port unless one is named, and go with the port', () => {
    told('ip link add br0 address 02:00:00:00:0b:01 type bridge vlan_filtering 1');
    told('ip link add v0 type veth peer name v1');
    told('ip link set v0 master br0');
    told('bridge vlan add vid 5 dev v0');
    told('bridge fdb add 02:00:00:00:00:77 dev v0 master');
    const all = [
      '02:00:00:00:00:77 dev v0 master br0 permanent',
      '02:00:00:00:00:77 dev v0 vlan 1 master br0 permanent',
      '02:00:00:00:00:77 dev v0 vlan 5 master br0 permanent',
    ];
    expect(entries()).toEqual(all);
    // The bridge works out its own addresses anew: what a user has added stays.
    told('ip link set v0 address 02:00:00:00:01:09');
    expect(entries()).toEqual(all);
    told('bridge fdb del 02:00:00:00:00:77 dev v0 master vlan 5');
    expect(entries()).toEqual(all.slice(0, 2));
    told('bridge fdb del 02:00:00:00:00:77 dev v0 master');
    expect(entries()).toEqual([]);
    told('bridge fdb add 02:00:00:00:00:77 dev v0 master static vlan 5');
    told('ip link set v0 nomaster');
    expect(entries()).toEqual([]);
  });

  it('are refused in a VLAN that the port has not', () => {
    told('ip link set v0 master br0');
    expect(rig.run('bridge fdb add 02:00:00:00:00:77 dev v0 master vlan 7')).toMatchObject({
      status: 255,
      stderr: 'RTNETLINK answers: Invalid argument\n',
    });
    expect(told('ip link add br1 type bridge vlan_default_pvid 4095')).toBe(
      'RTNETLINK answers: Invalid argument\n',
    );
    expect(told('ip -br link show br1')).toMatch(/does not exist/);
  });

  it('VLANs are listed by device and by number', () => {
    told('bridge vlan add vid 5 dev v0');
    const head = 'port              vlan-id  \n';
    expect(told('bridge vlan show dev v0 vid 5')).toBe(`${head}v0                5\n`);
    expect(told('bridge vlan show dev br0')).toBe(
      `${head}br0               1 PVID Egress Untagged\n`,
    );
  });
});
