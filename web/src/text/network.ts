// Evaluated when the network page is loaded, which is after the language is known.
import { inLanguage } from './index';
import { networkEn } from './network-en';

export const tn = inLanguage(networkEn);
