// What the transmit rings of one function share: DMATXCTL, the security block's gate, tags and TCP flags of segments, decoded.

import { TxReads } from './tx-reads.ts';
import { ETHERTYPE_VLAN } from '../wire/headers.ts';

export class TxUnit {
  /** DMATXCTL.TE, and SECTXCTRL.TX_DIS is clear. */
  isEnabled = false;
  /** EtherType of inserted tags (DMATXCTL.VT). */
  tagType = ETHERTYPE_VLAN;
  /** Frames have an outer tag, of this type: insert behind it (CTRL_EXT.EXTENDED_VLAN, DMATXCTL.GDV, EXVET). */
  isDoubleVlan = false;
  outerType = ETHERTYPE_VLAN;
  /** DTXTCPFLGL and DTXTCPFLGH. */
  readTcpFlags: () => [firstMiddle: number, last: number] = () => [0, 0];
  /** DTXMXSZRQ. */
  readonly reads = new TxReads();
}
