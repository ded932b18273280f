// Parameters, resources, regions and health reporters of netdevsim, with their initial values (drivers/net/netdevsim/{dev,health}.c of
// Linux 6.1; reference/offload/devlink).

import { driverinitParam } from '../../devlink.ts';
import type {
  DevlinkFmsg,
  DevlinkParam,
  DevlinkRegion,
  DevlinkReporter,
  DevlinkResource,
} from '../../devlink.ts';
import type { Kernel } from '../../kernel.ts';

const U32_MAX = 0xffffffff;
/** Elements of the message's arrays. */
const FMSG_ITEMS = 10;

export function nsimParams(): DevlinkParam[] {
  return [
    driverinitParam('max_macs', true, U32_MAX, 32),
    driverinitParam('test1', false, null, true),
  ];
}

function resource(
  name: string,
  occupied: (() => number) | null,
  children: readonly DevlinkResource[] = [],
): DevlinkResource {
  return {
    name,
    size: Infinity,
    sizeNew: Infinity,
    sizeMin: 0,
    sizeMax: Infinity,
    granularity: 1,
    occupied,
    children,
  };
}

/** IPv4 and IPv6 with their routes and rules, and nexthop objects (of which the stack has none). */
export function nsimResources(kernel: Kernel): DevlinkResource[] {
  const family = (name: string, key: 'ipv4' | 'ipv6'): DevlinkResource =>
    resource(name, null, [
      resource('fib', () => kernel.fib.tables?.routeCount(key) ?? 0),
      resource('fib-rules', () => kernel.fib.tables?.ruleCount(key) ?? 0),
    ]);
  return [family('IPv4', 'ipv4'), family('IPv6', 'ipv6'), resource('nexthops', () => 0)];
}

export function nsimRegions(): DevlinkRegion[] {
  return [{ name: 'dummy', sizeBytes: 32768, snapshotsMax: 16, snapshots: [] }];
}

/** "empty" reports nothing; "dummy" is broken by a write to debugfs health/break_health. */
export function nsimReporters(binary: Uint8Array = new Uint8Array(16)): DevlinkReporter[] {
  const message: readonly DevlinkFmsg[] = [
    { kind: 'value', name: 'test_bool', value: true },
    { kind: 'value', name: 'test_u8', value: 1 },
    { kind: 'value', name: 'test_u32', value: 3 },
    { kind: 'value', name: 'test_u64', value: 4 },
    { kind: 'value', name: 'test_string', value: 'somestring' },
    { kind: 'binary', name: 'test_binary', bytes: binary },
    {
      kind: 'nest',
      name: 'test_nest',
      members: [
        { kind: 'value', name: 'nested_test_bool', value: false },
        { kind: 'value', name: 'nested_test_u8', value: 0 },
      ],
    },
    { kind: 'array', name: 'test_u32_array', count: FMSG_ITEMS },
  ];
  const fresh = { isHealthy: true, errorCount: 0, recoverCount: 0, autoDump: true };
  return [
    { ...fresh, name: 'empty', recovery: null, diagnose: () => [] },
    {
      ...fresh,
      name: 'dummy',
      recovery: { gracePeriodMs: 0, isAutomatic: true },
      diagnose: () => message,
    },
  ];
}
