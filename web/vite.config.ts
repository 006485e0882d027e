import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { strictStyle } from './tools/strict-style.ts';

// FAIRLEAD_HUB names a running hub for `npm run dev`, e.g. https://127.0.0.1:8443
const hub = process.env.FAIRLEAD_HUB ?? 'https://127.0.0.1:8443';
const toHub = { target: hub, secure: false, changeOrigin: true, headers: { origin: hub } };

export default defineConfig({
	plugins: [strictStyle(), react()],
	server: {
		proxy: { '/id': toHub, '/api': toHub, '/health': toHub, '/realtime': { ...toHub, ws: true } },
	},
	build: {
		outDir: 'dist',
		emptyOutDir: true,
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		sourcemap: false,
		manifest: true,
		chunkSizeWarningLimit: 1000,
	},
	test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
