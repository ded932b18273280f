// BAR0 of one PCI function: register offsets and bit names of the Intel 82599 (datasheet section 8.2.3).
//
// Plain constants for registers that exist once, functions of the index for those that come in arrays. The same map as
// data, with access kinds, reset values and meanings, is in register-map.ts; docs/registers.md is generated from it.
// Left out: everything that the model does not act on (DCB, FCoE, LinkSec, virtualization, PHY). Such registers read as
// documented, keep nothing, and are counted per function (register-map-documented.ts, RegisterFile.unknown).

/** Bytes of BAR0. */
export const BAR0_BYTES = 0x20000;

// General control.
export const CTRL = 0x00000;
export const CTRL_GIO_DIS = 1 << 2;
export const CTRL_LNK_RST = 1 << 3;
export const CTRL_RST = 1 << 26;
export const STATUS = 0x00008;
export const STATUS_LAN_ID_SHIFT = 2;
export const STATUS_LINK_UP = 1 << 7;
export const STATUS_GIO_MASTER_ENABLE = 1 << 19;
export const CTRL_EXT = 0x00018;
export const CTRL_EXT_PFRSTD = 1 << 14;
export const CTRL_EXT_EXTENDED_VLAN = 1 << 26;
export const CTRL_EXT_DRV_LOAD = 1 << 28;
export const ESDP = 0x00020;
export const EEC = 0x10010;
export const EEC_REQ = 1 << 6;
export const EEC_GNT = 1 << 7;
export const EEC_PRES = 1 << 8;
export const EEC_ARD = 1 << 9;
/** 16-bit addresses; size 2^(n + 6) words in bits 14:11. */
export const EEC_ADDR_SIZE = 1 << 10;
export const EEC_SIZE_SHIFT = 11;
export const EERD = 0x10014;
export const EERD_START = 1 << 0;
export const EERD_DONE = 1 << 1;
export const EEWR = 0x10018;
/** Word address in bits 15:2 of EERD and EEWR. */
export const EERD_ADDR_SHIFT = 2;
export const EERD_ADDR_MASK = 0x3fff;
export const GRC = 0x10200;
export const FWSM = 0x10148;
export const SWSM = 0x10140;
export const SWSM_SMBI = 1 << 0;
export const SWSM_SWESMBI = 1 << 1;
/** SW_FW_SYNC: software owns by bits 4:0, firmware by 9:5. */
export const GSSR = 0x10160;
export const FRTIMER = 0x00048;
export const TCPTIMER = 0x0004c;

// Interrupts.
export const EICR = 0x00800;
export const EICR_RTX_QUEUE = 0xffff;
export const EICR_FLOW_DIR = 1 << 16;
export const EICR_RX_MISS = 1 << 17;
export const EICR_LSC = 1 << 20;
export const EICR_TCP_TIMER = 1 << 30;
export const EICR_OTHER = 1 << 31;
export const EICS = 0x00808;
export const EIAC = 0x00810;
export const EIMS = 0x00880;
export const EIMC = 0x00888;
export const EIAM = 0x00890;
export const GPIE = 0x00898;
export const GPIE_MSIX_MODE = 1 << 4;
export const GPIE_OCD = 1 << 5;
export const GPIE_EIMEN = 1 << 6;
/** A low-latency credit comes back every so many times 4 us. */
export const GPIE_LL_INTERVAL_SHIFT = 7;
export const GPIE_LL_INTERVAL_MASK = 0xf;
export const GPIE_EIAME = 1 << 30;
export const GPIE_PBA_SUPPORT = 1 << 31;
/** One bit per MSI-X vector, 32 vectors a register. */
export const EICS_EX = (i: number): number => 0x00a90 + 4 * i;
export const EIMS_EX = (i: number): number => 0x00aa0 + 4 * i;
export const EIMC_EX = (i: number): number => 0x00ab0 + 4 * i;
export const EIAM_EX = (i: number): number => 0x00ad0 + 4 * i;
/** Interval of vector i in bits 11:3, steps of 2.048 us. */
export const EITR = (i: number): number => (i < 24 ? 0x00820 + 4 * i : 0x12300 + 4 * (i - 24));
export const EITR_ITR_SHIFT = 3;
export const EITR_ITR_MASK = 0xff8;
/** Low-latency interrupts take credits (bits 20:16). */
export const EITR_LLI_MOD = 1 << 15;
export const EITR_LLI_CREDIT_SHIFT = 16;
export const EITR_LLI_CREDIT_MASK = 0x1f;
/** Leave counter and credits as they are. */
export const EITR_CNT_WDIS = 1 << 31;
/** Queues 2i and 2i+1: byte 0 RX even, byte 1 TX even, byte 2 RX odd, byte 3 TX odd. */
export const IVAR = (i: number): number => 0x00900 + 4 * i;
export const IVAR_ALLOC_VAL = 0x80;
/** Byte 0 TCP timer, byte 1 other causes (link). */
export const IVAR_MISC = 0x00a00;

// Receive.
const rxBlock = (q: number): number => (q < 64 ? 0x01000 + 0x40 * q : 0x0d000 + 0x40 * (q - 64));
export const RDBAL = (q: number): number => rxBlock(q);
export const RDBAH = (q: number): number => rxBlock(q) + 0x04;
export const RDLEN = (q: number): number => rxBlock(q) + 0x08;
export const DCA_RXCTRL = (q: number): number => rxBlock(q) + 0x0c;
export const RDH = (q: number): number => rxBlock(q) + 0x10;
export const SRRCTL = (q: number): number => rxBlock(q) + 0x14;
/** Packet buffer size, units of 1 KiB. */
export const SRRCTL_BSIZEPKT_MASK = 0x1f;
/** Header buffer size, units of 64 bytes. */
export const SRRCTL_BSIZEHDR_SHIFT = 8;
export const SRRCTL_BSIZEHDR_MASK = 0x3f;
export const SRRCTL_DESCTYPE_MASK = 0x0e000000;
export const SRRCTL_DESCTYPE_LEGACY = 0;
export const SRRCTL_DESCTYPE_ADV_ONEBUF = 0x02000000;
export const SRRCTL_DESCTYPE_HDR_SPLIT = 0x04000000;
export const SRRCTL_DESCTYPE_HDR_SPLIT_ALWAYS = 0x0a000000;
export const SRRCTL_DROP_EN = 1 << 28;
export const RDT = (q: number): number => rxBlock(q) + 0x18;
export const RXDCTL = (q: number): number => rxBlock(q) + 0x28;
export const RXDCTL_ENABLE = 1 << 25;
export const RXDCTL_VME = 1 << 30;
export const RSCCTL = (q: number): number => rxBlock(q) + 0x2c;
export const RSCCTL_RSCEN = 1 << 0;
export const SECRXCTRL = 0x08d00;
export const SECRXCTRL_RX_DIS = 1 << 1;
export const SECRXSTAT = 0x08d04;
export const SECRXSTAT_RDY = 1 << 0;
export const RXCTRL = 0x03000;
export const RXCTRL_RXEN = 1 << 0;
export const RXPBSIZE = (i: number): number => 0x03c00 + 4 * i;
export const RXPBSIZE_SHIFT = 10;
export const RDRXCTL = 0x02f00;
export const RDRXCTL_CRCSTRIP = 1 << 1;
export const RDRXCTL_DMAIDONE = 1 << 3;
export const RXCSUM = 0x05000;
export const RXCSUM_IPPCSE = 1 << 12;
export const RXCSUM_PCSD = 1 << 13;
export const FCTRL = 0x05080;
export const FCTRL_SBP = 1 << 1;
export const FCTRL_MPE = 1 << 8;
export const FCTRL_UPE = 1 << 9;
export const FCTRL_BAM = 1 << 10;
export const VLNCTRL = 0x05088;
export const VLNCTRL_CFI = 1 << 28;
export const VLNCTRL_CFIEN = 1 << 29;
export const VLNCTRL_VFE = 1 << 30;
/** EtherType of the outer tag in bits 31:16, with CTRL_EXT.EXTENDED_VLAN. */
export const EXVET = 0x05078;
export const MCSTCTRL = 0x05090;
export const MCSTCTRL_MO_MASK = 3;
export const MCSTCTRL_MFE = 1 << 2;
export const MTA = (i: number): number => 0x05200 + 4 * i;
/** Unicast hash table, as MTA; on with MCSTCTRL.MFE. */
export const UTA = (i: number): number => 0x0f400 + 4 * i;
export const RAL = (i: number): number => 0x0a200 + 8 * i;
export const RAH = (i: number): number => 0x0a204 + 8 * i;
export const RAH_AV = 1 << 31;
export const VFTA = (i: number): number => 0x0a000 + 4 * i;
export const PSRTYPE = (i: number): number => 0x0ea00 + 4 * i;
export const PSRTYPE_TCPHDR = 1 << 4;
export const PSRTYPE_UDPHDR = 1 << 5;
export const PSRTYPE_IPV4HDR = 1 << 8;
export const PSRTYPE_IPV6HDR = 1 << 9;
export const PSRTYPE_L2HDR = 1 << 12;
export const MRQC = 0x0ec80;
export const MRQC_MRQE_MASK = 0xf;
export const MRQC_RSSEN = 1;
export const MRQC_RSS_FIELD_IPV4_TCP = 1 << 16;
export const MRQC_RSS_FIELD_IPV4 = 1 << 17;
export const MRQC_RSS_FIELD_IPV6 = 1 << 20;
export const MRQC_RSS_FIELD_IPV6_TCP = 1 << 21;
export const MRQC_RSS_FIELD_IPV4_UDP = 1 << 22;
export const MRQC_RSS_FIELD_IPV6_UDP = 1 << 23;
export const RETA = (i: number): number => 0x0eb00 + 4 * i;
export const RSSRK = (i: number): number => 0x0eb80 + 4 * i;
/** Four queues a register, one byte each: which statistics counter (0-15) a receive queue counts in. */
export const RQSMR = (i: number): number => 0x02300 + 4 * i;

// Transmit.
export const TDBAL = (q: number): number => 0x06000 + 0x40 * q;
export const TDBAH = (q: number): number => 0x06004 + 0x40 * q;
export const TDLEN = (q: number): number => 0x06008 + 0x40 * q;
export const TDH = (q: number): number => 0x06010 + 0x40 * q;
export const TDT = (q: number): number => 0x06018 + 0x40 * q;
export const TXDCTL = (q: number): number => 0x06028 + 0x40 * q;
/** Prefetch when fewer than bits 6:0 are in the device and at least 14:8 in the ring; write back 22:16 at a time. */
export const TXDCTL_HTHRESH_SHIFT = 8;
export const TXDCTL_WTHRESH_SHIFT = 16;
export const TXDCTL_THRESH_MASK = 0x7f;
export const TXDCTL_ENABLE = 1 << 25;
export const DCA_TXCTRL = (q: number): number => 0x0600c + 0x40 * q;
/** Bit 0: write the head here instead of DD into descriptors; address in bits 31:2. */
export const TDWBAL = (q: number): number => 0x06038 + 0x40 * q;
export const TDWBAH = (q: number): number => 0x0603c + 0x40 * q;
export const TDWBAL_HEAD_WB_EN = 1 << 0;
export const DMATXCTL = 0x04a80;
export const DMATXCTL_TE = 1 << 0;
export const DMATXCTL_GDV = 1 << 3;
/** EtherType of inserted tags. */
export const DMATXCTL_VT_SHIFT = 16;
/** TCP flags kept in segments: first 11:0, middle 27:16; and last 11:0. */
export const DTXTCPFLGL = 0x04a88;
export const DTXTCPFLGH = 0x04a8c;
export const SECTXCTRL = 0x08800;
export const SECTXCTRL_TX_DIS = 1 << 1;
export const SECTXSTAT = 0x08804;
export const SECTXSTAT_RDY = 1 << 0;
export const SECTXBUFFAF = 0x08808;
export const SECTXMINIFG = 0x08810;
/** Bytes that transmit may have asked for, in units of 256. */
export const DTXMXSZRQ = 0x08100;
export const DTXMXSZRQ_MAX = 0xfff;
export const RTTDCS = 0x04900;
export const RTTDCS_ARBDIS = 1 << 6;
export const MTQC = 0x08120;
export const TXPBSIZE = (i: number): number => 0x0cc00 + 4 * i;
export const TXPBTHRESH = (i: number): number => 0x04950 + 4 * i;
/** Four queues a register, one byte each: which statistics counter (0-15) a transmit queue counts in. */
export const TQSM = (i: number): number => 0x08600 + 4 * i;

// MAC and link.
export const HLREG0 = 0x04240;
export const HLREG0_TXCRCEN = 1 << 0;
export const HLREG0_RXCRCSTRP = 1 << 1;
export const HLREG0_JUMBOEN = 1 << 2;
export const HLREG0_TXPADEN = 1 << 10;
export const HLREG0_LPBK = 1 << 15;
export const MAXFRS = 0x04268;
export const MAXFRS_MFS_SHIFT = 16;
export const AUTOC = 0x042a0;
export const AUTOC_AN_RESTART = 1 << 12;
/** Force link up (loopback). */
export const AUTOC_FLU = 1 << 0;
/** Link mode: 0 and 2 1 Gb/s; 1 and 3 10 Gb/s; 5 SGMII; 4, 6 and 7 negotiate what KX4, KX and KR offer. */
export const AUTOC_LMS_SHIFT = 13;
export const AUTOC_LMS_MASK = 7;
export const AUTOC_KR_SUPP = 1 << 16;
export const AUTOC_KX_SUPP = 1 << 30;
export const AUTOC_KX4_SUPP = 1 << 31;
export const AUTOC2 = 0x042a8;
export const LINKS2 = 0x04324;
export const LINKS = 0x042a4;
export const LINKS_SPEED_10G = 3 << 28;
export const LINKS_SPEED_1G = 2 << 28;
export const LINKS_UP = 1 << 30;

// Statistics: cleared by reading.
export const MPC = (i: number): number => 0x03fa0 + 4 * i;
export const RNBC = (i: number): number => 0x03fc0 + 4 * i;
export const CRCERRS = 0x04000;
export const ILLERRC = 0x04004;
export const ERRBC = 0x04008;
export const MSPDC = 0x04010;
export const MLFC = 0x04034;
export const MRFC = 0x04038;
export const LXONTXC = 0x03f60;
export const LXOFFTXC = 0x03f68;
export const LXONRXC = 0x041a4;
export const LXOFFRXC = 0x041a8;
export const PXONTXC = (i: number): number => 0x03f00 + 4 * i;
export const PXOFFTXC = (i: number): number => 0x03f20 + 4 * i;
export const PXONRXC = (i: number): number => 0x04140 + 4 * i;
export const PXOFFRXC = (i: number): number => 0x04160 + 4 * i;
export const RLEC = 0x04040;
export const PRC64 = 0x0405c;
export const PRC127 = 0x04060;
export const PRC255 = 0x04064;
export const PRC511 = 0x04068;
export const PRC1023 = 0x0406c;
export const PRC1522 = 0x04070;
export const GPRC = 0x04074;
export const BPRC = 0x04078;
export const MPRC = 0x0407c;
export const GPTC = 0x04080;
export const GORCL = 0x04088;
export const GORCH = 0x0408c;
export const GOTCL = 0x04090;
export const GOTCH = 0x04094;
export const RUC = 0x040a4;
export const RFC = 0x040a8;
export const ROC = 0x040ac;
export const RJC = 0x040b0;
export const MNGPRC = 0x040b4;
export const MNGPDC = 0x040b8;
export const MNGPTC = 0x0cf90;
export const TORL = 0x040c0;
export const TORH = 0x040c4;
export const TPR = 0x040d0;
export const TPT = 0x040d4;
export const PTC64 = 0x040d8;
export const XEC = 0x04120;
export const SSVPC = 0x08780;
export const MPTC = 0x040f0;
export const BPTC = 0x040f4;
export const QPRC = (i: number): number => 0x01030 + 0x40 * i;
export const QBRC_L = (i: number): number => 0x01034 + 0x40 * i;
export const QBRC_H = (i: number): number => 0x01038 + 0x40 * i;
export const QPRDC = (i: number): number => 0x01430 + 0x40 * i;
export const QPTC = (i: number): number => 0x08680 + 4 * i;
export const QBTC_L = (i: number): number => 0x08700 + 8 * i;
export const QBTC_H = (i: number): number => 0x08704 + 8 * i;
