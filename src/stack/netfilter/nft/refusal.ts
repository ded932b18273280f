// What the kernel refuses, as nft(8) tells it: an errno's sentence under the place in the source. nft's own complaints are bare NftErrors.

import { EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { Place } from './ast.ts';
import { NftError } from './lexer.ts';

/** A refusal by the kernel: what a refused transaction numbered before it stays numbered (transaction.ts). */
export class KernelRefusal extends NftError {
  constructor(errno: number, place: Place) {
    super(`Could not process rule: ${strerror(errno)}`, place.start, place.end);
  }
}

/** Refuses with this errno at this place. */
export function refuseByKernel(errno: number, place: Place): never {
  throw new KernelRefusal(errno, place);
}

/** Refuses what nft has and the model has not, as a kernel without it would. */
export function unsupported(place: Place): never {
  refuseByKernel(EOPNOTSUPP, place);
}
