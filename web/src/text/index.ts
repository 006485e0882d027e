// The catalogue in use. English comes with the first load; any other language is a chunk of its own and is loaded
// before the first render.
import { en, type Catalogue } from './en';

export let t: Catalogue = en;
let change: <T extends object>(sentences: T) => T = (sentences) => sentences;

/** The sentences of one page, which come with that page, in the language of the others. */
export const inLanguage = <T extends object>(sentences: T): T => change(sentences);

export async function loadLanguage(language: string | null): Promise<void> {
	if (language === 'en-XA' || language === 'ar-XB') {
		const { pseudo, pseudoPart } = await import('./pseudo');
		t = pseudo(en, language);
		change = (sentences) => pseudoPart(sentences, language);
	}
	document.documentElement.lang = t.language;
	document.documentElement.dir = t.direction;
}
