// The catalogue in use. English comes with the first load; any other language is a chunk of its own and is loaded
// before the first render.
import { en, type Catalogue } from './en';

export let t: Catalogue = en;

export async function loadLanguage(language: string | null): Promise<void> {
	if (language === 'en-XA' || language === 'ar-XB') {
		const { pseudo } = await import('./pseudo');
		t = pseudo(en, language);
	}
	document.documentElement.lang = t.language;
	document.documentElement.dir = t.direction;
}
