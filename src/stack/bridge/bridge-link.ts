// A bridge and its ports as `ip -d link` shows them (iproute2 6.1, recorded). What the model has no setting for stands at the kernel's
// default.

import { formatMac } from '../ip/address.ts';
import type { Answer } from '../answer.ts';
import type { LinkKind } from '../link-kind.ts';
import type { Bridge, BridgePort } from './bridge.ts';
import { isForwarding } from './bridge.ts';

/** Cost of a port by speed is not modelled: that of 10 Gbit/s. */
export const PORT_COST = 2;
export const PORT_PRIORITY = 32;
/** 1/100 s. */
const CENTISECONDS_PER_PS = 1e-10;

type Field = readonly [json: string, value: unknown, text?: string | undefined, name?: string];

/** The kind of a bridge's device. */
export function bridgeKind(bridge: Bridge, remove: () => Answer): LinkKind {
  return {
    kind: 'bridge',
    linkType: 'ether',
    netnsLocal: true,
    text: () => `bridge ${textOf(bridgeFields(bridge))}`,
    json: () => jsonOf(bridgeFields(bridge)),
    remove,
  };
}

function idOf(bridge: Bridge): string {
  const mac = [...bridge.dev.mac].map((byte) => byte.toString(16)).join(':');
  return `8000.${mac}`;
}

const TIMER = '   0.00';

/** In the order of the tool: JSON key and value, text where it differs, key of the text where it differs. */
function bridgeFields(bridge: Bridge): Field[] {
  const filtering: Field[] = bridge.vlanFiltering ? [['vlan_protocol', '802.1Q']] : [];
  const vlanDefaults: Field[] = bridge.vlanFiltering
    ? [
        ['vlan_default_pvid', bridge.defaultPvid],
        ['vlan_stats_enabled', 0],
        ['vlan_stats_per_port', 0],
      ]
    : [];
  return [
    ['forward_delay', 1500],
    ['hello_time', 200],
    ['max_age', 2000],
    ['ageing_time', Math.round(bridge.fdb.ageingPs * CENTISECONDS_PER_PS)],
    ['stp_state', 0],
    ['priority', 32768],
    ['vlan_filtering', bridge.vlanFiltering ? 1 : 0],
    ...filtering,
    ['bridge_id', idOf(bridge)],
    ['root_id', idOf(bridge), undefined, 'designated_root'],
    ['root_port', 0],
    ['root_path_cost', 0],
    ['topology_change', 0],
    ['topology_change_detected', 0],
    ['hello_timer', 0, TIMER],
    ['tcn_timer', 0, TIMER],
    ['topology_change_timer', 0, TIMER],
    ['gc_timer', 0, TIMER],
    ...vlanDefaults,
    ['group_fwd_mask', '0'],
    ['group_addr', '01:80:c2:00:00:00', undefined, 'group_address'],
    ['mcast_snooping', 1],
    ['no_linklocal_learn', 0],
    ['mcast_vlan_snooping', 0],
    ['mcast_router', 1],
    ['mcast_query_use_ifaddr', 0],
    ['mcast_querier', 0],
    ['mcast_hash_elasticity', 16],
    ['mcast_hash_max', 4096],
    ['mcast_last_member_cnt', 2, undefined, 'mcast_last_member_count'],
    ['mcast_startup_query_cnt', 2, undefined, 'mcast_startup_query_count'],
    ['mcast_last_member_intvl', 100, undefined, 'mcast_last_member_interval'],
    ['mcast_membership_intvl', 26000, undefined, 'mcast_membership_interval'],
    ['mcast_querier_intvl', 25500, undefined, 'mcast_querier_interval'],
    ['mcast_query_intvl', 12500, undefined, 'mcast_query_interval'],
    ['mcast_query_response_intvl', 1000, undefined, 'mcast_query_response_interval'],
    ['mcast_startup_query_intvl', 3124, undefined, 'mcast_startup_query_interval'],
    ['mcast_stats_enabled', 0],
    ['mcast_igmp_version', 2],
    ['mcast_mld_version', 1],
    ['nf_call_iptables', 0],
    ['nf_call_ip6tables', 0],
    ['nf_call_arptables', 0],
  ];
}

/** `bridge_slave ...` of a port. */
export function portText(port: BridgePort): string {
  return `bridge_slave ${textOf(portFields(port))}`;
}

/** info_slave_data of a port. */
export function portJson(port: BridgePort): Record<string, unknown> {
  return jsonOf(portFields(port));
}

/** State of a port as the tools name it. */
export function portState(port: BridgePort): string {
  return isForwarding(port) ? 'forwarding' : 'disabled';
}

function portFields(port: BridgePort): Field[] {
  const id = 0x8000 + port.number;
  const bridgeId = idOf(port.bridge);
  return [
    ['state', portState(port)],
    ['priority', PORT_PRIORITY],
    ['cost', PORT_COST],
    ['hairpin', false],
    ['guard', false],
    ['root_block', false],
    ['fastleave', false],
    ['learning', true],
    ['flood', true],
    ['id', `0x${id.toString(16)}`, undefined, 'port_id'],
    ['no', `0x${port.number.toString(16)}`, undefined, 'port_no'],
    ['designated_port', id],
    ['designated_cost', 0],
    ['bridge_id', bridgeId, undefined, 'designated_bridge'],
    ['root_id', bridgeId, undefined, 'designated_root'],
    ['hold_timer', 0, TIMER],
    ['message_age_timer', 0, TIMER],
    ['forward_delay_timer', 0, TIMER],
    ['topology_change_ack', 0],
    ['config_pending', 0],
    ['proxy_arp', false],
    ['proxy_arp_wifi', false],
    ['multicast_router', 1, undefined, 'mcast_router'],
    ['mcast_fast_leave', undefined, 'off'],
    ['mcast_flood', true],
    ['bcast_flood', true],
    ['mcast_to_unicast', false],
    ['neigh_suppress', false],
    ['group_fwd_mask', '0'],
    ['group_fwd_mask_str', '0x0'],
    ['vlan_tunnel', false],
    ['isolated', false],
    ['locked', false],
  ];
}

function textOf(fields: readonly Field[]): string {
  return fields
    .map(([json, value, text, name]) => {
      const plain = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
      return `${name ?? json} ${text ?? plain} `;
    })
    .join('');
}

function jsonOf(fields: readonly Field[]): Record<string, unknown> {
  const kept = fields.filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept.map(([json, value]) => [json, value]));
}

/** `bridge fdb` and others: an address as text. */
export function macText(mac: number): string {
  const bytes = new Uint8Array(6);
  for (let i = 5, rest = mac; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return formatMac(bytes);
}
