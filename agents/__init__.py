"""mocktrial.agents"""
