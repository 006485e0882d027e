import '@fontsource-variable/inter/wght.css';
import './styles/tokens.css';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { begin, takeCode } from './lib/account';
import { applyTheme } from './lib/prefs';
import { loadLanguage } from './text';

const code = takeCode();
applyTheme();
const asked = begin(code);
// a link that is pasted into a tab where the sign-in page is open already changes the fragment only
addEventListener('hashchange', () => {
	const next = takeCode();
	if (next) void begin(next);
});
let language: string | null = null;
try {
	language = localStorage.getItem('fairlead.language');
} catch {
	// storage is switched off
}
void loadLanguage(language).then(async () => {
	createRoot(document.getElementById('root')!).render(<App />);
	await asked;
});
