// The registers of BAR0 as data: name, place, access, reset value, meaning. The register file is built from this table
// and docs/registers.md is printed from it. Offsets are those of the 82599 (datasheet 8.2.3); second addresses under
// which the 82599 shows the same register are `aliases`.

import * as R from './regs.ts';

/** rw: kept and read back. ro: writes ignored. wo: reads 0. rc: statistics, cleared by reading. hook: see the meaning. */
export type Access = 'rw' | 'ro' | 'wo' | 'rc' | 'hook';

export interface RegisterDef {
  name: string;
  /** Offset of the first one, bytes. */
  offset: number;
  /** Distance to the next, bytes; 0 for a single register. */
  stride: number;
  count: number;
  access: Access;
  reset: number;
  meaning: string;
  /** Named fields, text. */
  bits: string;
  /** Other offsets of the same registers (first, stride, how many are mapped there). */
  aliases: readonly { offset: number; stride: number; count: number }[];
}

function one(
  name: string,
  offset: number,
  access: Access,
  reset: number,
  meaning: string,
  bits = '',
): RegisterDef {
  return { name, offset, stride: 0, count: 1, access, reset, meaning, bits, aliases: [] };
}

function many(
  name: string,
  at: (i: number) => number,
  count: number,
  access: Access,
  reset: number,
  meaning: string,
  bits = '',
  aliases: RegisterDef['aliases'] = [],
): RegisterDef {
  const offset = at(0);
  return { name, offset, stride: at(1) - offset, count, access, reset, meaning, bits, aliases };
}

/** Largest number of queues per function. */
export const MAX_QUEUES = 64;

/** All registers of BAR0, in order of the datasheet's chapters. */
export const REGISTERS: readonly RegisterDef[] = [
  one(
    'CTRL',
    R.CTRL,
    'hook',
    0,
    'Device control; the reset bits clear themselves at once',
    'GIO_DIS 2, LNK_RST 3, RST 26',
  ),
  one('STATUS', R.STATUS, 'hook', 0, 'Device status', 'LAN_ID 3:2 (port), GIO_MASTER_ENABLE 19'),
  one('CTRL_EXT', R.CTRL_EXT, 'rw', 0, 'Extended control', 'PFRSTD 14, DRV_LOAD 28'),
  one('ESDP', R.ESDP, 'rw', 0, 'Pins of the SFP cage; kept, no effect'),
  one(
    'EEC',
    R.EEC,
    'ro',
    R.EEC_PRES | R.EEC_ARD,
    'EEPROM control: auto-read is always done',
    'PRES 8, ARD 9',
  ),
  one(
    'EERD',
    R.EERD,
    'hook',
    0,
    'EEPROM read: completes at once, data 0',
    'START 0, DONE 1, DATA 31:16',
  ),
  one(
    'EICR',
    R.EICR,
    'hook',
    0,
    'Interrupt causes; reading clears (with GPIE.OCD only bits 31:16), writing 1 clears',
    'RTX_QUEUE 15:0, LSC 20',
  ),
  one('EICS', R.EICS, 'hook', 0, 'Sets interrupt causes'),
  one('EIAC', R.EIAC, 'hook', 0, 'Causes cleared when their MSI-X is sent'),
  one('EIMS', R.EIMS, 'hook', 0, 'Unmasks causes; reads as the mask'),
  one('EIMC', R.EIMC, 'hook', 0, 'Masks causes'),
  one('EIAM', R.EIAM, 'hook', 0, 'Vectors masked when they fire (with GPIE.EIAME)'),
  one(
    'GPIE',
    R.GPIE,
    'hook',
    0,
    'Interrupt mode',
    'MSIX_MODE 4, OCD 5, EIMEN 6, EIAME 30, PBA_SUPPORT 31',
  ),
  many('EICS_EX', R.EICS_EX, 2, 'hook', 0, 'Sets causes of vectors 32i to 32i+31'),
  many('EIMS_EX', R.EIMS_EX, 2, 'hook', 0, 'Unmasks vectors; reads as the mask'),
  many('EIMC_EX', R.EIMC_EX, 2, 'hook', 0, 'Masks vectors'),
  many('EIAM_EX', R.EIAM_EX, 2, 'hook', 0, 'Vectors masked when they fire (with GPIE.EIAME)'),
  many(
    'EITR',
    R.EITR,
    24,
    'hook',
    0,
    'Interrupt interval of a vector',
    'ITR_INTERVAL 11:3 in steps of 2.048 us',
  ),
  many('EITR_24_UP', (i) => R.EITR(24 + i), 40, 'hook', 0, 'EITR of vectors 24 to 63'),
  many(
    'IVAR',
    R.IVAR,
    32,
    'hook',
    0,
    'Vectors of queues 2i and 2i+1',
    'RX 2i 7:0, TX 2i 15:8, RX 2i+1 23:16, TX 2i+1 31:24; bit 7 of each: valid',
  ),
  one(
    'IVAR_MISC',
    R.IVAR_MISC,
    'hook',
    0,
    'Vectors of other causes',
    'TCP timer 7:0, other 15:8; bit 7 of each: valid',
  ),
  many('RDBAL', R.RDBAL, MAX_QUEUES, 'hook', 0, 'Receive ring base, low'),
  many('RDBAH', R.RDBAH, MAX_QUEUES, 'hook', 0, 'Receive ring base, high'),
  many('RDLEN', R.RDLEN, MAX_QUEUES, 'hook', 0, 'Receive ring length, bytes, a multiple of 128'),
  many('DCA_RXCTRL', R.DCA_RXCTRL, MAX_QUEUES, 'rw', 0, 'Kept, no effect', '', [
    { offset: 0x2200, stride: 4, count: 16 },
  ]),
  many('RDH', R.RDH, MAX_QUEUES, 'hook', 0, 'Receive head; writable while the queue is disabled'),
  many(
    'SRRCTL',
    R.SRRCTL,
    MAX_QUEUES,
    'hook',
    0x402,
    'Split receive control',
    'BSIZEPACKET 4:0 in KiB, DESCTYPE 27:25 (1: advanced, one buffer), DROP_EN 28',
    [{ offset: 0x2100, stride: 4, count: 16 }],
  ),
  many('RDT', R.RDT, MAX_QUEUES, 'hook', 0, 'Receive tail: doorbell'),
  many(
    'RXDCTL',
    R.RXDCTL,
    MAX_QUEUES,
    'hook',
    0,
    'Receive queue control',
    'ENABLE 25 (reads back), VME 30 (strip the tag)',
  ),
  one('RXCTRL', R.RXCTRL, 'hook', 0, 'Receive control', 'RXEN 0'),
  many(
    'RXPBSIZE',
    R.RXPBSIZE,
    8,
    'rw',
    0x80000,
    'Receive packet buffer size; kept, the model has one buffer',
    'SIZE 19:10',
  ),
  one(
    'RDRXCTL',
    R.RDRXCTL,
    'hook',
    R.RDRXCTL_DMAIDONE,
    'Receive DMA control',
    'CRCSTRIP 1, DMAIDONE 3 (always set)',
  ),
  one('RXCSUM', R.RXCSUM, 'rw', 0, 'Receive checksum control; kept', 'IPPCSE 12, PCSD 13'),
  one('FCTRL', R.FCTRL, 'hook', 0, 'Filter control', 'SBP 1, MPE 8, UPE 9, BAM 10'),
  one('VLNCTRL', R.VLNCTRL, 'hook', 0x8100, 'VLAN control', 'VET 15:0, VFE 30'),
  one('MCSTCTRL', R.MCSTCTRL, 'hook', 0, 'Multicast control', 'MO 1:0, MFE 2'),
  many('MTA', R.MTA, 128, 'rw', 0, 'Multicast table, one bit per hash value'),
  many('RAL', R.RAL, 128, 'hook', 0, 'Receive address, bytes 0 to 3 (byte 0 low)', '', [
    { offset: 0x5400, stride: 8, count: 16 },
  ]),
  many('RAH', R.RAH, 128, 'hook', 0, 'Receive address, bytes 4 and 5', 'AV 31', [
    { offset: 0x5404, stride: 8, count: 16 },
  ]),
  many('VFTA', R.VFTA, 128, 'rw', 0, 'VLAN table, one bit per VLAN id'),
  many('PSRTYPE', R.PSRTYPE, 64, 'rw', 0, 'Kept, no effect', '', [
    { offset: 0x5480, stride: 4, count: 16 },
  ]),
  oneWithAlias(
    'MRQC',
    R.MRQC,
    'Multiple receive queues',
    'MRQE 3:0 (1: RSS), IPV4_TCP 16, IPV4 17, IPV6 20, IPV6_TCP 21, IPV4_UDP 22, IPV6_UDP 23',
    0x5818,
  ),
  many(
    'RETA',
    R.RETA,
    32,
    'hook',
    0,
    'Indirection table, four entries a register',
    'queue in bits 3:0 of each byte',
    [{ offset: 0x5c00, stride: 4, count: 32 }],
  ),
  many('RSSRK', R.RSSRK, 10, 'hook', 0, 'RSS key, byte 0 low', '', [
    { offset: 0x5c80, stride: 4, count: 10 },
  ]),
  many(
    'RQSMR',
    R.RQSMR,
    32,
    'hook',
    0,
    'Statistics counter of receive queues 4i to 4i+3 (reset here: queue n counts in n mod 16)',
  ),
  many('TDBAL', R.TDBAL, MAX_QUEUES, 'hook', 0, 'Transmit ring base, low'),
  many('TDBAH', R.TDBAH, MAX_QUEUES, 'hook', 0, 'Transmit ring base, high'),
  many('TDLEN', R.TDLEN, MAX_QUEUES, 'hook', 0, 'Transmit ring length, bytes, a multiple of 128'),
  many('TDH', R.TDH, MAX_QUEUES, 'hook', 0, 'Transmit head; writable while the queue is disabled'),
  many('TDT', R.TDT, MAX_QUEUES, 'hook', 0, 'Transmit tail: doorbell'),
  many(
    'TXDCTL',
    R.TXDCTL,
    MAX_QUEUES,
    'hook',
    0,
    'Transmit queue control',
    'PTHRESH 6:0, HTHRESH 14:8, WTHRESH 22:16 (kept), ENABLE 25 (reads back)',
  ),
  one('DMATXCTL', R.DMATXCTL, 'hook', 0, 'Transmit DMA control', 'TE 0'),
  one('DTXMXSZRQ', R.DTXMXSZRQ, 'rw', 0x10, 'Kept, no effect'),
  one('RTTDCS', R.RTTDCS, 'rw', 0, 'Kept, no effect', 'ARBDIS 6'),
  one('MTQC', R.MTQC, 'rw', 0, 'Kept, no effect'),
  many('TXPBSIZE', R.TXPBSIZE, 8, 'rw', 0x28000, 'Transmit packet buffer size; kept'),
  many('TXPBTHRESH', R.TXPBTHRESH, 8, 'rw', 0x96, 'Kept, no effect'),
  many(
    'TQSM',
    R.TQSM,
    32,
    'hook',
    0,
    'Statistics counter of transmit queues 4i to 4i+3 (reset as RQSMR)',
  ),
  one(
    'HLREG0',
    R.HLREG0,
    'hook',
    R.HLREG0_TXCRCEN | R.HLREG0_RXCRCSTRP,
    'MAC control',
    'TXCRCEN 0, RXCRCSTRP 1, JUMBOEN 2, TXPADEN 10 (reset by configuration), LPBK 15',
  ),
  one(
    'MAXFRS',
    R.MAXFRS,
    'hook',
    0x5ee0000,
    'Largest frame with FCS, used with HLREG0.JUMBOEN, else 1518; 4 more with a tag; 0xffff: as large as the device takes',
    'MFS 31:16',
  ),
  one('AUTOC', R.AUTOC, 'rw', 0, 'Kept, no effect'),
  one('LINKS', R.LINKS, 'hook', 0, 'Link status', 'SPEED 29:28, UP 30'),
  many('MPC', R.MPC, 8, 'rc', 0, 'Missed packets: receive packet buffer full (buffer 0)'),
  one('CRCERRS', R.CRCERRS, 'rc', 0, 'CRC errors: always 0'),
  one('RLEC', R.RLEC, 'rc', 0, 'Length errors: always 0'),
  many(
    'PRC',
    (i) => R.PRC64 + 4 * i,
    6,
    'rc',
    0,
    'PRC64, PRC127, PRC255, PRC511, PRC1023, PRC1522: received by size with FCS',
  ),
  one('GPRC', R.GPRC, 'rc', 0, 'Good packets received (accepted by the MAC filter)'),
  one('BPRC', R.BPRC, 'rc', 0, 'Broadcast packets received'),
  one('MPRC', R.MPRC, 'rc', 0, 'Multicast packets received'),
  one('GPTC', R.GPTC, 'rc', 0, 'Good packets transmitted'),
  one('GORCL', R.GORCL, 'rc', 0, 'Good octets received with FCS, low; cleared by reading GORCH'),
  one('GORCH', R.GORCH, 'rc', 0, 'Good octets received, bits 35:32'),
  one('GOTCL', R.GOTCL, 'rc', 0, 'Good octets transmitted with FCS, low; cleared by reading GOTCH'),
  one('GOTCH', R.GOTCH, 'rc', 0, 'Good octets transmitted, bits 35:32'),
  one('RUC', R.RUC, 'rc', 0, 'Undersize frames'),
  one('ROC', R.ROC, 'rc', 0, 'Oversize frames'),
  one('TORL', R.TORL, 'rc', 0, 'Total octets received, low; cleared by reading TORH'),
  one('TORH', R.TORH, 'rc', 0, 'Total octets received, bits 35:32'),
  one('TPR', R.TPR, 'rc', 0, 'Total packets received'),
  one('TPT', R.TPT, 'rc', 0, 'Total packets transmitted'),
  one('MPTC', R.MPTC, 'rc', 0, 'Multicast packets transmitted'),
  one('BPTC', R.BPTC, 'rc', 0, 'Broadcast packets transmitted'),
  many('QPRC', R.QPRC, 16, 'rc', 0, 'Packets received, per statistics counter'),
  many(
    'QBRC_L',
    R.QBRC_L,
    16,
    'rc',
    0,
    'Bytes received without FCS, low; cleared by reading QBRC_H',
  ),
  many('QBRC_H', R.QBRC_H, 16, 'rc', 0, 'Bytes received, high'),
  many('QPRDC', R.QPRDC, 16, 'rc', 0, 'Packets dropped for want of descriptors'),
  many('QPTC', R.QPTC, 16, 'rc', 0, 'Packets transmitted', '', [
    { offset: 0x6030, stride: 0x40, count: 16 },
  ]),
  many('QBTC_L', R.QBTC_L, 16, 'rc', 0, 'Bytes transmitted, low; cleared by reading QBTC_H'),
  many('QBTC_H', R.QBTC_H, 16, 'rc', 0, 'Bytes transmitted, high'),
];

function oneWithAlias(
  name: string,
  offset: number,
  meaning: string,
  bits: string,
  alias: number,
): RegisterDef {
  const aliases = [{ offset: alias, stride: 0, count: 1 }];
  return { ...one(name, offset, 'hook', 0, meaning, bits), aliases };
}
