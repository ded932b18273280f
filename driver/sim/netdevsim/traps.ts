// Packet traps of netdevsim with their groups and policers (drivers/net/netdevsim/dev.c of Linux 6.1; reference/offload/devlink).
// They trap nothing here: the work that makes a packet for each enabled trap every 100 ms is left out.

import type {
  Devlink,
  DevlinkTrap,
  DevlinkTrapAction,
  DevlinkTrapGroup,
  DevlinkTrapPolicer,
} from '../../devlink.ts';

const RATE_LIMITS = [1, 8000] as const;
const BURST_LIMITS = [8, 65536] as const;

const GROUPS = [
  ...([['l2_drops', 0] as const, ['l3_drops', 1], ['l3_exceptions', 1]] as const),
  ...([['buffer_drops', 2] as const, ['acl_drops', 3], ['mc_snooping', 3]] as const),
];

const TRAPS: readonly (readonly [
  name: string,
  type: DevlinkTrap['type'],
  action: DevlinkTrapAction,
  group: string,
])[] = [
  ['source_mac_is_multicast', 'drop', 'drop', 'l2_drops'],
  ['vlan_tag_mismatch', 'drop', 'drop', 'l2_drops'],
  ['ingress_vlan_filter', 'drop', 'drop', 'l2_drops'],
  ['ingress_spanning_tree_filter', 'drop', 'drop', 'l2_drops'],
  ['port_list_is_empty', 'drop', 'drop', 'l2_drops'],
  ['port_loopback_filter', 'drop', 'drop', 'l2_drops'],
  ['fid_miss', 'exception', 'trap', 'l2_drops'],
  ['blackhole_route', 'drop', 'drop', 'l3_drops'],
  ['ttl_value_is_too_small', 'exception', 'trap', 'l3_exceptions'],
  ['tail_drop', 'drop', 'drop', 'buffer_drops'],
  ['ingress_flow_action_drop', 'drop', 'drop', 'acl_drops'],
  ['egress_flow_action_drop', 'drop', 'drop', 'acl_drops'],
  ['igmp_query', 'control', 'mirror', 'mc_snooping'],
  ['igmp_v1_report', 'control', 'trap', 'mc_snooping'],
];

/** Fresh traps, groups and policers. */
export function nsimTraps(): Pick<Devlink, 'traps' | 'trapGroups' | 'trapPolicers'> {
  return {
    traps: TRAPS.map(([name, type, action, group]) => ({
      name,
      type,
      isGeneric: name !== 'fid_miss',
      group,
      action,
      rxBytes: 0,
      rxPackets: 0,
    })),
    trapGroups: GROUPS.map(([name, policer]): DevlinkTrapGroup => ({ name, policer })),
    trapPolicers: [1, 2, 3].map((id): DevlinkTrapPolicer => ({
      id,
      rate: 1000 * id,
      burst: 64 << id,
      rateLimits: RATE_LIMITS,
      burstLimits: BURST_LIMITS,
    })),
  };
}
