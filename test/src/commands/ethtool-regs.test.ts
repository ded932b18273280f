// `ethtool -d`: the tool's own layout, values of the running device, and what the model adds.
import { expect, it } from 'vitest';
import { Testbed } from '../../../src/scenario/testbed.ts';

it('ethtool -d prints the registers as for ixgbe, and what was used without being modelled', () => {
  const testbed = new Testbed();
  testbed.advance(1e9);
  const dev = testbed.devices[0];
  const dump = (): string[] => testbed.runWords(['ethtool', '-d', dev.name]).stdout.split('\n');
  const first = dump();
  expect(first.slice(0, 3)).toEqual([
    '0x042A4: LINKS (Link Status register)                 0x70000000',
    '       Link Status:                                   up',
    '       Link Speed:                                    10G',
  ]);
  expect(first).toContain(
    '0x01000: RDBAL00     (Rx Desc Base Addr Low 00)       0x1000E000'.slice(0, 54) +
      first.find((l) => l.includes('RDBAL00'))?.slice(54),
  );
  expect(first).toContain('0x02200: DCA_RXCTRL00 (Rx DCA Control 00)             0x00000000');
  expect(first).toContain('0x03020: RTRUP2TC    (Rx User Prio to Traffic Classes)0x00000000');
  expect(
    first.filter((l) => l.includes('Faults of queues') || l.includes('does not have')),
  ).toEqual([]);
  const { bar0 } = testbed.nic.functions[0];
  bar0.read32(0x5808);
  bar0.write32(0x1000, 0x11);
  const second = dump();
  const at = second.indexOf('Accesses to registers that the model does not have:');
  expect(second[at + 1]).toBe('       0x05808: WUFC                                  1');
  expect(second.find((l) => l.startsWith('       rx 0: base-misaligned'))).toContain(
    '1 (ring base',
  );
  expect(testbed.runWords(['ethtool', '-d']).status).toBe(1);
});
