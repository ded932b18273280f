// 802.3x flow control as ixgbe sets it up (ixgbe_fc_enable_generic, ixgbe_hpbthresh, ixgbe_lpbthresh; IXGBE_DV, IXGBE_LOW_DV):
// thresholds from what can still arrive after an XOFF was decided on, in whole KiB. One thing differs: where the buffer is too small for
// that, ixgbe takes a threshold beyond it and warns; here it is half the buffer.
//
// Priority flow control (802.1Qbb) is the device's, by registers; this driver has no DCB.

import type { TwinAdapter } from './adapter.ts';
import { EINVAL } from '../errno.ts';
import type { EthtoolPauseParam } from '../ethtool.ts';
import type { ExtAck } from '../netdev.ts';
import {
  FCCFG,
  FCCFG_TFCE_802_3X,
  FCRTH,
  FCRTH_FCEN,
  FCRTL,
  FCRTL_XONE,
  FCRTV,
  FCTTV,
  FC_THRESHOLD_MASK,
  MFLCN,
  MFLCN_DPF,
  MFLCN_RFCE,
} from '../../hw/mac/flow-control-registers.ts';
import { RXPBSIZE, SRRCTL, SRRCTL_DROP_EN } from '../../hw/regs.ts';

/** IXGBE_DEFAULT_FCPAUSE: as long as the format allows; an XON ends it. */
const PAUSE_QUANTA = 0xffff;
// Delays in bit times (IEEE 802.1Q 36.1 and the 82599's): the partner's answer, 100 m of cable, both interfaces, higher layers.
const PARTNER_BITS = 672;
const CABLE_BITS = 5556;
const INTERFACE_BITS = 4096 + 8192 + 25600;
const HIGHER_LAYER_BITS = 6144;
const PCI_BITS = 10000;
const BUFFER_MASK = 0xffc00;
/** FCRTH without pause frames: this below the buffer's size, so that the transmit switch works (ixgbe). */
const UNUSED_BYTES = 24576;

/** Bits as whole KiB (IXGBE_BT2KB), in bytes. */
function inKib(bits: number): number {
  return 1024 * Math.ceil(bits / 8192);
}

/** Bytes that may still come after the level passed the high mark. */
function headroomBytes(frameBytes: number): number {
  const frameBits = 8 * frameBytes;
  const delay = PARTNER_BITS + 2 * CABLE_BITS + 2 * INTERFACE_BITS + HIGHER_LAYER_BITS;
  return inKib(Math.floor((36 * (frameBits + delay)) / 25) + 1 + 2 * frameBits);
}

/** Bytes that the host takes while an XON is on its way. */
function lowBytes(frameBytes: number): number {
  return inKib(2 * (2 * 8 * frameBytes + Math.floor((36 * PCI_BITS) / 25) + 1));
}

/** Programs pause frames in both directions as the adapter says. */
export function writeFlowControl(adapter: TwinAdapter): void {
  const { bar0, dev } = adapter;
  const frameBytes = dev.mtuBytes + 18;
  const bufferBytes = bar0.read32(RXPBSIZE(0)) & BUFFER_MASK;
  const high = Math.max(bufferBytes - headroomBytes(frameBytes), bufferBytes >> 1);
  const wanted = lowBytes(frameBytes);
  const low = wanted > high ? 0 : wanted;
  bar0.write32(MFLCN, MFLCN_DPF | (adapter.rxPause ? MFLCN_RFCE : 0));
  bar0.write32(FCCFG, adapter.txPause ? FCCFG_TFCE_802_3X : 0);
  for (let i = 0; i < 4; i++) bar0.write32(FCTTV(i), (PAUSE_QUANTA * 0x10001) >>> 0);
  bar0.write32(FCRTV, PAUSE_QUANTA >> 1);
  const isOn = adapter.txPause;
  bar0.write32(FCRTL(0), isOn ? ((low & FC_THRESHOLD_MASK) | FCRTL_XONE) >>> 0 : 0);
  const off = Math.max(bufferBytes - UNUSED_BYTES, 0);
  bar0.write32(FCRTH(0), isOn ? ((high & FC_THRESHOLD_MASK) | FCRTH_FCEN) >>> 0 : off);
}

/**
 * Whether a queue without descriptors drops (SRRCTL.DROP_EN). As ixgbe: with several queues one must not hold up the others,
 * unless pause frames keep the buffer from filling.
 */
export function dropsWhenEmpty(adapter: TwinAdapter): boolean {
  return adapter.queueCount > 1 && !adapter.txPause;
}

/** ETHTOOL_SPAUSEPARAM: 0, or −EINVAL for negotiation, which needs a partner that negotiates. */
export function setPause(adapter: TwinAdapter, param: EthtoolPauseParam, extack: ExtAck): number {
  if (param.autoneg) {
    extack.message = 'flow control cannot be negotiated on this link';
    extack.reason = 'pause-autoneg';
    return -EINVAL;
  }
  adapter.rxPause = param.rx_pause;
  adapter.txPause = param.tx_pause;
  if (!adapter.running) return 0;
  writeFlowControl(adapter);
  const { bar0 } = adapter;
  for (const { queue } of adapter.rxRings) {
    const rest = bar0.read32(SRRCTL(queue)) & ~SRRCTL_DROP_EN;
    bar0.write32(SRRCTL(queue), (rest | (dropsWhenEmpty(adapter) ? SRRCTL_DROP_EN : 0)) >>> 0);
  }
  return 0;
}
