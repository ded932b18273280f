// Receive classification rules of the reference driver (`ethtool -N`), on Flow Director's perfect filters, with ixgbe's rules:
// IPv4 only (tcp4, udp4, sctp4, ip4), one mask for all rules of a port, locations below the number of filters, the location is the
// software index. A vlan-etype matches the flexible bytes, which are the frame's EtherType. Rules stay while ntuple is switched off.

import { adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import type { FdirInput } from './fdir.ts';
import { EINVAL, EOPNOTSUPP } from '../errno.ts';
import * as E from '../ethtool.ts';
import type { EthtoolRxFlowSpec, FlowField, MaskedField, RxNfcOps } from '../ethtool.ts';
import type { ExtAck, NetDevice } from '../netdev.ts';
import { FLOW_SCTP, FLOW_TCP, FLOW_UDP } from '../../hw/steering/fdir-hash.ts';

const NONE: MaskedField = { value: [0, 0], mask: [0, 0] };
/** Fields that a perfect filter has. */
const TAKEN: readonly FlowField[] = [
  ...(['src_ip', 'dst_ip', 'src_port', 'dst_port', 'l4_proto', 'vlan_tci', 'vlan_etype'] as const),
  'l4_data',
];

function refuse(extack: ExtAck, message: string, reason: string, error = EINVAL): number {
  extack.message = message;
  extack.reason = reason;
  return -error;
}

/** Transport that the rule is about, 0 for any, −1 when the filters cannot tell. */
function flowTypeOf(spec: EthtoolRxFlowSpec): number {
  switch (spec.flow_type) {
    case E.TCP_V4_FLOW:
      return FLOW_TCP;
    case E.UDP_V4_FLOW:
      return FLOW_UDP;
    case E.SCTP_V4_FLOW:
      return FLOW_SCTP;
    case E.IPV4_USER_FLOW: {
      const proto = spec.fields.l4_proto ?? NONE;
      if (proto.mask[0] === 0) return 0;
      const known = new Map([
        [6, FLOW_TCP],
        [17, FLOW_UDP],
        [132, FLOW_SCTP],
      ]);
      return proto.mask[0] === 0xff ? (known.get(proto.value[0]) ?? -1) : -1;
    }
    default:
      return -1;
  }
}

/** Value and mask of a rule as Flow Director takes them. */
function inputOf(spec: EthtoolRxFlowSpec, flowType: number): { input: FdirInput; mask: FdirInput } {
  const make = (pick: (field: MaskedField) => number, type: number): FdirInput => {
    const { src_ip, dst_ip, src_port, dst_port, l4_data, vlan_tci, vlan_etype } = spec.fields;
    const ports = (pick(src_port ?? NONE) << 16) | pick(dst_port ?? NONE);
    return {
      flowType: type,
      src: pick(src_ip ?? NONE),
      dst: pick(dst_ip ?? NONE),
      // The four L4 bytes of ip4 lie where tcp4 has its ports (ixgbe reads them so).
      ports: (ports | pick(l4_data ?? NONE)) >>> 0,
      vlan: pick(vlan_tci ?? NONE),
      flex: pick(vlan_etype ?? NONE),
    };
  };
  const mask = make((field) => field.mask[0], flowType === 0 ? 0 : 3);
  const raw = make((field) => field.value[0], flowType);
  const input = {
    flowType,
    src: (raw.src & mask.src) >>> 0,
    dst: (raw.dst & mask.dst) >>> 0,
    ports: (raw.ports & mask.ports) >>> 0,
    vlan: raw.vlan & mask.vlan,
    flex: raw.flex & mask.flex,
  };
  return { input, mask };
}

/** Whether the device can compare under the mask; SCTP has no port mask of its own. */
function maskIsPossible(mask: FdirInput, flowType: number): boolean {
  if (![0, 0xfff, 0xe000, 0xefff].includes(mask.vlan)) return false;
  if (mask.flex !== 0 && mask.flex !== 0xffff) return false;
  if (flowType === 0 && mask.ports !== 0) return false;
  return flowType !== FLOW_SCTP || mask.ports === 0xffffffff || mask.ports === 0;
}

function insert(adapter: TwinAdapter, spec: EthtoolRxFlowSpec, extack: ExtAck): number {
  const { fdir, dev } = adapter;
  const { cookie, location } = spec;
  if (!dev.features.has('rx-ntuple-filter'))
    return refuse(extack, 'ntuple filters are switched off', 'ntuple-off', EOPNOTSUPP);
  if (!cookie.drop && (cookie.vf > 0 || cookie.ring >= adapter.queueCount))
    return refuse(extack, 'no such queue', 'ring');
  if (location >= fdir.capacity) return refuse(extack, 'Location out of range', 'location');
  const flowType = flowTypeOf(spec);
  if (flowType < 0) return refuse(extack, 'Unrecognized flow type', 'flow-type');
  for (const [name, field] of Object.entries(spec.fields))
    if (!TAKEN.includes(name as FlowField) && field.mask.some((word) => word !== 0))
      return refuse(extack, `cannot match ${name}`, 'field');
  const { input, mask } = inputOf(spec, flowType);
  if (!maskIsPossible(mask, flowType)) return refuse(extack, 'Error writing mask', 'mask');
  const others = adapter.ntuple.size - (adapter.ntuple.has(location) ? 1 : 0) + adapter.arfs.count;
  if (others > 0 && !fdir.takesMask(mask))
    return refuse(extack, 'Only one mask supported per port', 'one-mask');
  if (others === 0) fdir.remove(location);
  const context = Math.max(spec.rss_context, 0);
  const action = { drop: cookie.drop, queue: cookie.ring, context };
  const error = fdir.add(location, input, mask, action);
  if (error !== 0) return error;
  adapter.ntuple.set(location, spec);
  return location;
}

/** RXH_* bits of a flow type: what ixgbe hashes. */
function flowHash(adapter: TwinAdapter, flowType: number): number {
  const addresses = E.RXH_IP_SRC | E.RXH_IP_DST;
  const ports = E.RXH_L4_B_0_1 | E.RXH_L4_B_2_3;
  switch (flowType) {
    case E.TCP_V4_FLOW:
    case E.TCP_V6_FLOW:
      return addresses | ports;
    case E.UDP_V4_FLOW:
      return addresses | (adapter.rss.udp4 ? ports : 0);
    case E.UDP_V6_FLOW:
      return addresses | (adapter.rss.udp6 ? ports : 0);
    case E.SCTP_V4_FLOW:
    case E.AH_ESP_V4_FLOW:
    case E.AH_V4_FLOW:
    case E.ESP_V4_FLOW:
    case E.SCTP_V6_FLOW:
    case E.AH_ESP_V6_FLOW:
    case E.AH_V6_FLOW:
    case E.ESP_V6_FLOW:
      return addresses;
    default:
      return -EINVAL;
  }
}

/** Only UDP can be switched between addresses and addresses with ports (ixgbe_set_rss_hash_opt). */
function setFlowHash(adapter: TwinAdapter, flowType: number, fields: number): number {
  const { rss } = adapter;
  const addresses = E.RXH_IP_SRC | E.RXH_IP_DST;
  const all = addresses | E.RXH_L4_B_0_1 | E.RXH_L4_B_2_3;
  const isUdp = flowType === E.UDP_V4_FLOW || flowType === E.UDP_V6_FLOW;
  if (!isUdp) return fields === flowHash(adapter, flowType) ? 0 : -EINVAL;
  if (fields !== addresses && fields !== all) return -EINVAL;
  if (flowType === E.UDP_V4_FLOW) rss.udp4 = fields === all;
  else rss.udp6 = fields === all;
  if (!adapter.running) return 0;
  rss.writeTypes();
  if (fields === all)
    adapter.kernel.printkOnce(
      `${adapter.dev.name}: enabling UDP RSS: fragmented packets may arrive out of order to the stack above`,
    );
  return 0;
}

export const TWIN_RXNFC: RxNfcOps = {
  choosesLocation: false,
  rings: (dev: NetDevice) => adapterOf(dev).queueCount,
  locations: (dev: NetDevice) => [...adapterOf(dev).ntuple.keys()].sort((a, b) => a - b),
  tableSize: (dev: NetDevice) => adapterOf(dev).fdir.capacity,
  rule: (dev: NetDevice, location: number) => adapterOf(dev).ntuple.get(location) ?? null,
  insert: (dev: NetDevice, spec: EthtoolRxFlowSpec, extack: ExtAck) =>
    insert(adapterOf(dev), spec, extack),
  remove(dev: NetDevice, location: number): number {
    const adapter = adapterOf(dev);
    if (!adapter.ntuple.delete(location)) return -EINVAL;
    adapter.fdir.remove(location);
    return 0;
  },
  flowHash: (dev: NetDevice, flowType: number) => flowHash(adapterOf(dev), flowType),
  setFlowHash: (dev: NetDevice, flowType: number, fields: number) =>
    setFlowHash(adapterOf(dev), flowType, fields),
};
