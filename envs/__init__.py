"""mocktrial.envs"""
